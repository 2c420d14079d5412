"""`omnireid synth` with bodies in places: options reach the library, and what would do nothing is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command_line import Run


def test_a_film_has_the_options_that_were_given(omnireid: Run, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="films need PyAV")
    done = omnireid(
        "synth", "--video", "--out", tmp_path / "films", "--cameras", 2, "--people", 3, "--minutes", 0.01,
        "--fps", 4, "--frame-width", 96, "--frame-height", 64, "--seed", 6, "--workers", 1,
        "--overlap",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.out.split() == [str(tmp_path / "films" / name / "film.mp4") for name in ("c1", "c2")]
    options = json.loads((tmp_path / "films" / "card.json").read_text())["options"]
    assert options == {
        "seed": 6, "num_cameras": 2, "num_people": 3, "minutes": 0.01, "fps": 4.0, "num_places": 1,
        "width": 96, "height": 64, "overlap": True,
    }  # fmt: skip
    assert "seqLength=2" in (tmp_path / "films" / "c2" / "seqinfo.ini").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--video", "--train-pids", 3), "--train-pids: no effect with --video"),
        (("--video", "--style", "mesh"), "--style: no effect with --video"),
        (("--people", 3), "--people: no effect without --video"),
        (("--people-per-world", 3), "people_per_world: 3 has no effect with style flat"),
        (("--mixed-worlds", 3), "mixed_worlds: 3 has no effect with style flat"),
        (("--video", "--places", 5), "num_places: 1 to 4 (the cameras), got 5"),
        (("--style", "mash"), "mash"),
    ],
)
def test_what_would_do_nothing_is_refused(
    omnireid: Run, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    done = omnireid("synth", "--out", tmp_path / "new", *words)
    assert done.code != 0
    assert message in " ".join(done.err.split())
    assert not (tmp_path / "new").exists()
