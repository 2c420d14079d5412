"""`omnireid export`: what it writes, and what it refuses before it begins."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

from omnireid import Embedder
from omnireid.cli.app import main
from omnireid.core.card import InputSpec, ModelCard
from omnireid.models.registry import build_model
from omnireid.models.weights import save_weights

from toy_people import write_toy_people  # isort: skip

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def export(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["omnireid", "export", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    card = ModelCard(name="mine", architecture="osnet_x0_25", input=InputSpec(height=64, width=32))
    save_weights(path, build_model("osnet_x0_25"), card)
    return path


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough pictures to compare on: 30 people, two cameras, five pictures each."""
    root = tmp_path_factory.mktemp("many") / "people"
    return write_toy_people(root, num_train=2, num_test=30, per_camera=5)


def test_a_format_precision_and_embedding_are_chosen(
    export: Run, weights: Path, people: Path, tmp_path: Path
) -> None:
    chosen = ["--format", "torchscript", "--precision", "bf16", "--embedding", "normalised"]
    source = ["--data", "market-layout", "--root", people]
    code, out, err = export("--model", weights, *chosen, *source)
    assert code == 0, err
    # Named after the model and the precision, in the folder it was called from.
    written = sorted(file.name for file in tmp_path.iterdir())
    assert written == ["mine.bf16.torchscript", "mine.bf16.torchscript.parity.json"]
    assert "torchscript, bf16, normalised embeddings" in out
    proof = json.loads((tmp_path / written[1]).read_text())
    assert proof["crops"] == "market-layout, query and gallery: 256 of 300"
    assert proof["accuracy"]["num_valid_queries"] == 60
    assert Embedder.open(tmp_path / written[0]).is_normalised_inside


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name one model"),
        (["WEIGHTS", "--model", "WEIGHTS"], "name one model"),
        (["WEIGHTS", "--data", "market-layout"], "belong together"),
        (["absent.safetensors"], "no such model file"),
        (["WEIGHTS", "--precision", "bf16"], "bf16 works with openvino, torchscript"),
        (["WEIGHTS", "--out", "m.pt"], "ends in .onnx"),
        (["WEIGHTS", "--crops", "PEOPLE/query"], "60 pictures, and 256 are needed"),
        (["graph.onnx"], "omnireid models convert graph.onnx"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str], message: str, export: Run, weights: Path, people: Path, tmp_path: Path
) -> None:
    (tmp_path / "graph.onnx").write_bytes(b"\x08\x08\x12\x07pytorch")
    places = {"WEIGHTS": str(weights), "PEOPLE/query": str(people / "query")}
    code, _, err = export(*(places.get(argument, argument) for argument in arguments))
    assert code == 2
    assert message in err
    assert [file.name for file in tmp_path.iterdir()] == ["graph.onnx"]
