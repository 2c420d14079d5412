"""The scripts of benchmarks/ say in one line what a user can mend."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image, ImageFilter

import omnireid
from omnireid.core.card import InputSpec
from omnireid.data.datasets import read_dataset
from omnireid.models.cards import model_card
from omnireid.models.complexity import complexity
from omnireid.models.registry import build_model
from omnireid.models.weights import save_weights

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_one_item_at_a_time_into_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    out = tmp_path / "results" / "single.json"
    done = run("gallery.py", "--single", "40", "--scratch", str(tmp_path / "a" / "b"), "--out", str(out))
    assert done.returncode == 0, done.stderr
    (block,) = json.loads(out.read_text())["blocks"]
    assert block["items"] == 40
    assert block["files"] > 3
    assert block["disk_bytes"] > 40 * 2048
    assert "a call over one on the small gallery" in done.stdout
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize(
    ("script", "option", "name", "message"),
    [
        ("gallery.py", "--scratch", "file/below", "cannot make the folder: Not a directory"),
        ("gallery.py", "--out", "folder", "expected a file, got a folder"),
        ("crop_quality.py", "--run", "folder", "no run with a model; make one: omnireid run --out"),
        ("pipeline.py", "--model", "absent.onnx", "not found"),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path, script: str, option: str, name: str, message: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    done = run(script, option, str(tmp_path / name))
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert f"argument {option}: {tmp_path / name.split('/below')[0]}" in last
    assert message in last
    assert "Traceback" not in done.stderr


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`run` for scripts that would import torch again in every process: call one here."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for module in ("options", "transfer", "transfer_curves", "recipes", "rendered_or_real"):
        monkeypatch.delitem(sys.modules, module, raising=False)

    def call(script: str, *arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", [f"{script}.py", *arguments])
        module = importlib.import_module(script)
        try:
            module.run(module.main)
        except SystemExit as ended:
            return int(ended.code or 0)
        return 0

    return call


def test_transfer_ranks_training_people_and_names_what_is_absent(
    tmp_path: Path, toy_root: Path, main: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    card = model_card("osnet_x0_25").model_copy(update={"input": InputSpec(height=32, width=16)})
    model, out = tmp_path / "ours.safetensors", tmp_path / "transfer.json"
    save_weights(model, build_model("osnet_x0_25"), card)
    where = ["--data", "market-layout", "--root", str(toy_root), "--real", str(tmp_path)]
    how = ["--model", str(model), "--threads", "1", "--out", str(out)]
    assert main("transfer", "--half", "train", *where, *how) == 0
    record = json.loads(out.read_text())
    assert record["half"] == "train"
    (row,) = (row for row in record["rows"] if row["model"] == str(model))
    assert {"rank1", "mAP"} <= set(row["cosine"]) & set(row["euclidean"])
    assert len(record["left_out"]) == 4
    people = read_dataset("market-layout", toy_root).train
    groups = {(sample.pid, sample.camid) for sample in people}
    assert (record["queries"], record["queries"] + record["gallery"]) == (len(groups), len(people))
    printed = capsys.readouterr()
    assert f"| {model} |" in printed.out
    assert "left out: osnet_x0_25_market1501.pth: not at" in printed.err


def test_curves_are_made_once_and_go_on(
    tmp_path: Path, toy_root: Path, main: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    runs, out = tmp_path / "runs.yaml", tmp_path / "curves.json"
    runs.write_text(
        "common:\n"
        "  recipe: rendered_x0_25\n"
        "  pictures: 12\n"
        "  set: {sampler.batch_size: 6, input: {height: 32, width: 16}}\n"
        "  render: {num_train_pids: 3, num_test_pids: 0, num_cameras: 2, crops_per_camera: 2}\n"
        "curves: {pictures: {twelve: {}, the same: {}, six: {pictures: 6}}}\n"
    )
    where = ["--data", "market-layout", "--root", str(toy_root), "--scratch", str(tmp_path / "scratch")]
    options = ["--runs", str(runs), *where, "--workers", "1", "--threads", "1", "--out", str(out)]
    assert main("transfer_curves", *options, "--only", "pictures/sixteen") == 2
    assert "pictures/six" in capsys.readouterr().err
    assert main("transfer_curves", *options, "--only", "pictures/six") == 0
    first = json.loads(out.read_text())["measured"]
    assert [row["name"] for row in first.values()] == ["pictures/six"]
    assert main("transfer_curves", *options) == 0
    rows = json.loads(out.read_text())["measured"]
    assert {digest: rows[digest] for digest in first} == first
    assert sorted(row["name"] for row in rows.values()) == ["pictures/six", "pictures/twelve"]
    last = capsys.readouterr().out.rpartition("| pictures |")[2]
    assert re.findall(r"^\| (\w[\w ]+) \|", last, re.MULTILINE) == ["twelve", "the same", "six"]


def test_what_separates_rendered_from_real_is_named(
    tmp_path: Path, toy_root: Path, main: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """The same pictures without their grain: only sharpness tells, and people are kept apart by fold."""
    shutil.copytree(toy_root, tmp_path / "smooth")
    for path in (tmp_path / "smooth" / "bounding_box_train").iterdir():
        Image.open(path).filter(ImageFilter.GaussianBlur(1)).save(path, quality=95)
    where = ["--data", "market-layout", "--real", str(toy_root), "--rendered", str(tmp_path / "smooth")]
    out = tmp_path / "told.json"
    assert main("rendered_or_real", *where, "--out", str(out)) == 0
    told = json.loads(out.read_text())
    assert told["pictures"] == [36, 36]
    assert told["separation"]["sharpness"] > 0.95
    assert told["separation"]["colour"] < 0.75
    more = {row["name"]: row["more"] for row in told["statistics"]}
    assert more["grain (its median size)"] > 0.95
    assert 0.3 < more["brightness"] < 0.7
    assert "| sharpness | " in capsys.readouterr().out
    assert main("rendered_or_real", *where, "--out", str(out), "--recipe", "rendered_x0_25") == 0
    assert json.loads(out.read_text())["statistics"] != told["statistics"]


def test_an_ablation_is_made_once_compares_in_pairs_and_goes_on(
    tmp_path: Path, toy_root: Path, main: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    variants, out, scratch = tmp_path / "variants.yaml", tmp_path / "recipes.json", tmp_path / "scratch"
    variants.write_text(
        "common:\n"
        "  {model: osnet_x0_25, model_options.blocks: [1, 1, 1], initial_weights: null,\n"
        "   input: {height: 32, width: 16}, sampler.batch_size: 12, epochs: 1}\n"
        "variants:\n"
        "  strong: {recipe: strong}\n"
        "  no neck: {recipe: strong, set: {model_options.neck: false, loss.triplet: 0}, against: strong,\n"
        "    published: [94, 85.25]}\n"
    )
    where = ["--data", "market-layout", "--root", str(toy_root), "--scratch", str(scratch)]
    options = ["--variants", str(variants), *where, "--threads", "1", "--out", str(out)]
    assert main("recipes", *options, "--only", "no nek") == 2
    assert "no neck" in capsys.readouterr().err
    assert main("recipes", *options, "--seeds", "1-2") == 0
    record = json.loads(out.read_text())
    assert {name: len(row["seeds"]) for name, row in record["variants"].items()} == {
        "strong": 2,
        "no neck": 2,
    }
    assert record["variants"]["strong"]["recipe"]["model_options"]["neck"] is True
    versus = record["variants"]["no neck"]["versus"]
    means = [
        sum(seed["mAP"] for seed in record["variants"][name]["seeds"].values()) / 2
        for name in ("strong", "no neck")
    ]
    assert versus["difference"]["value"] == pytest.approx(means[1] - means[0])
    assert versus["difference"]["low"] <= versus["difference"]["value"] <= versus["difference"]["high"]
    written = {path: path.stat().st_mtime_ns for path in scratch.glob("*/model.safetensors")}
    assert len(written) == 4
    assert main("recipes", *options, "--seeds", "1-2") == 0
    assert {path: path.stat().st_mtime_ns for path in scratch.glob("*/model.safetensors")} == written
    lines = capsys.readouterr().out.splitlines()
    *_, line = (line for line in lines if line.startswith("| no neck | 2 |"))
    assert line.endswith("| 94.0 / 85.2 |")
    *_, line = (line for line in lines if line.startswith("| strong | 2 |"))
    assert line.endswith("|  |")


def test_the_papers_ablations_are_the_networks_of_their_page(main: Callable[..., int]) -> None:
    ablation = importlib.import_module("recipes").read_ablation(BENCHMARKS / "ablations.yaml")
    page = (BENCHMARKS.parent / "docs" / "guides" / "models" / "ablations.md").read_text()
    rows = re.findall(r"^\| (\d+) \|.*\| ([\d,]+) \| ([\d.]+) / ([\d.]+) \|$", page, re.MULTILINE)
    assert len(rows) == len(ablation.variants) == 11
    for (name, variant), (number, parameters, rank1, mAP) in zip(
        ablation.variants.items(), rows, strict=True
    ):
        assert name.split()[0] == number
        assert variant.published == (float(rank1), float(mAP))
        recipe = ablation.recipe(name, 1, None)
        network = build_model(recipe.model, **recipe.model_options)
        assert f"{complexity(network).parameters:,}" == parameters


def test_width_times_resolution_costs_what_the_paper_says(main: Callable[..., int]) -> None:
    ablation = importlib.import_module("recipes").read_ablation(BENCHMARKS / "width_resolution.yaml")
    mega = []
    for name in ablation.variants:
        recipe = ablation.recipe(name, 1, None)
        assert recipe.initial_weights == f"{recipe.model}_imagenet"
        counted = complexity(build_model(recipe.model), recipe.input.height, recipe.input.width)
        mega.append(round(counted.mult_adds / 1e6, 1))
    # Table 6: widths 1, 0.75, 0.5, 0.25 down, resolutions 1, 0.75, 0.5, 0.25 across.
    assert mega == [
        *(978.9, 550.7, 244.9, 61.5),
        *(571.8, 321.7, 143.1, 35.9),
        *(272.9, 153.6, 68.3, 17.2),
        *(82.3, 46.3, 20.6, 5.2),
    ]


def test_paths_of_options_are_checked_as_they_are_read() -> None:
    unchecked = [
        (script.name, option)
        for script in sorted(BENCHMARKS.glob("*.py"))
        for option in re.findall(r'"(--[a-z-]+)", type=Path\b', script.read_text())
    ]
    # Without these pictures the script says so and leaves that part out.
    assert unchecked == [("calibration.py", "--real")]


def names_of(module: str) -> set[str]:
    """What a module of omnireid has to import, read without importing it."""
    found = find_spec(module)
    assert found is not None, module
    assert found.origin is not None, module
    if module == "omnireid":
        return set(omnireid.__all__)
    tree = ast.parse(Path(found.origin).read_text(encoding="utf-8"))
    is_package = found.submodule_search_locations is not None
    names = {path.stem for path in Path(found.origin).parent.iterdir()} if is_package else set()
    # At any depth: names stand in `try` and `if` too.
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


@pytest.mark.parametrize("script", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.stem)
def test_what_a_script_imports_of_omnireid_is_there(script: Path) -> None:
    imports = [node for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, ast.ImportFrom)]
    missing = [
        f"{node.module}.{alias.name}"
        for node in imports
        if node.module is not None and node.module.split(".")[0] == "omnireid"
        for alias in node.names
        if alias.name not in names_of(node.module)
    ]
    assert missing == []
