"""`omnireid calibrate` and `omnireid verify` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command_line import Run
from toy_people import stripes_onnx, write_toy_people

LABELLED = ("--data", "market-layout", "--root", "TOY")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_people(tmp_path_factory.mktemp("toy"), num_train=2, num_test=24)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return stripes_onnx(tmp_path / "stripes.onnx", 1.0)


def labelled(people: Path) -> list[str | Path]:
    return ["--data", "market-layout", "--root", people, "--false-alarm-rate", "0.05"]


def pictures(people: Path) -> tuple[Path, Path, Path]:
    """Two of one person by two cameras, and one of another."""
    one = sorted((people / "query").glob("0003_*"))
    return one[0], one[1], sorted((people / "query").glob("0004_*"))[0]


def test_a_calibrated_model_decides_with_the_error_behind_it(
    omnireid: Run, model: Path, people: Path
) -> None:
    done = omnireid("calibrate", "--model", model, *labelled(people), "--false-alarm-rate", 0.0001)
    assert done.code == 0, done.err
    assert "false-alarm rate 5 %: same person from 0." in done.out
    assert "0.01 %: not measurable with 276 couples; needs at least 10,000" in done.out
    assert "expected calibration error" in done.out
    file = model.with_name("stripes.onnx.calibration.json")
    assert f"calibration: {file}" in done.out
    page = model.with_name("stripes.onnx.calibration.html").read_text()
    assert "Reliability diagram" in page
    assert "http" not in page.replace("http-equiv", "")
    a, b, other = pictures(people)
    same = omnireid("verify", a, b, "--model", model)
    assert same.code == 0, same.err
    assert "decision     same person" in same.out
    assert "false alarms 5 % of pairs of two people wanted" in same.out
    assert "95 % interval" in same.out
    assert f"calibration  {file}" in same.out
    new = omnireid("verify", a, other, "--model", model, "--calibration", file, "--prior", "0.01")
    assert "decision     another person" in new.out
    assert "(if 1 % of such pairs do)" in new.out


def test_without_a_calibration_there_is_only_a_score_and_it_says_so(
    omnireid: Run, model: Path, people: Path
) -> None:
    a, b, _ = pictures(people)
    done = omnireid("verify", a, b, "--model", model)
    assert done.code == 0
    assert done.out.startswith("score        0.9")
    assert "decision" not in done.out
    assert "no calibration" in done.err
    asked = omnireid("verify", a, b, "--model", model, "--false-alarm-rate", "0.01")
    assert asked.code == 2
    assert "need one" in asked.err


def test_tracklets_calibrate_without_labels(omnireid: Run, model: Path, people: Path, tmp_path: Path) -> None:
    rows = ["path,camera,tracklet,time"]
    for picture in sorted(people.glob("bounding_box_test/*.jpg")):
        pid, place, time = picture.name.split("_")[:3]
        rows.append(f"{picture},{place},{pid},{time}")
    table = tmp_path / "crops.csv"
    table.write_text("\n".join(rows))
    out = tmp_path / "other" / "c.json"
    done = omnireid(
        "calibrate", "--model", model, "--tracklets", table, "--out", out, "--false-alarm-rate", 0.05,
        "--whitening", "centre",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "fits the cameras it was made from" in done.err
    stated = json.loads(out.read_text())
    assert stated["source"]["kind"] == "tracklets"
    assert stated["whitening"]["file"] == "c.whitening.safetensors"
    a, b, _ = pictures(people)
    same = omnireid("verify", a, b, "--model", model, "--calibration", out)
    assert "after centre whitening" in same.out
    assert "too optimistic across cameras" in same.out


def test_a_calibration_refuses_another_model(
    omnireid: Run, model: Path, people: Path, tmp_path: Path
) -> None:
    out = tmp_path / "c.json"
    assert omnireid("calibrate", "--model", model, *labelled(people), "--out", out).code == 0
    other = stripes_onnx(tmp_path / "other.onnx", 2.0)
    a, b, _ = pictures(people)
    done = omnireid("verify", a, b, "--model", other, "--calibration", out)
    assert done.code == 2
    assert "made for stripes" in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["calibrate", "--model", "MODEL"], "give either --data and --root, or --tracklets"),
        (["calibrate", "--model", "MODEL", "--data", "market-layout"], "give either"),
        (["calibrate", "--model", "MODEL", *LABELLED, "--tracklets", "TOY"], "give either"),
        (["calibrate", "--model", "MODEL", "--tracklets", "TOY"], "no tracklets. Expected"),
        (["calibrate", "--model", "no.onnx", "--tracklets", "TOY"], "no such model file"),
        (["calibrate", "--model", "MODEL", *LABELLED, "--false-alarm-rate", "5"], "between 0 and 1, got 5"),
        (["verify", "no.jpg", "A", "--model", "MODEL"], "no.jpg: no such file"),
        (["verify", "A", "A", "--model", "MODEL", "--calibration", "no.json"], "no such calibration"),
        (["verify", "A", "A", "--model", "MODEL", "--calibration", "MODEL"], "not a calibration"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_exit_code_2(
    omnireid: Run, model: Path, people: Path, arguments: list[str], message: str
) -> None:
    known = {"MODEL": str(model), "TOY": str(people), "A": str(pictures(people)[0])}
    done = omnireid(*(known.get(one, one) for one in arguments))
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err
