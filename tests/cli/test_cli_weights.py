"""Weights from elsewhere, through the commands: converted, taken by --init, or refused in a line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from command_line import Run
from folded_networks import folded, trained_network
from models.test_models_onnx_import import exported
from omnireid import build_model, load_weights, model_card, save_weights
from omnireid.models.weight_file import read_header
from toy_people import stripes_onnx, write_toy_people

TINY = [
    "--recipe", "quickstart", "--set", "epochs=1", "--set", "sampler.batch_size=12",
    "--set", "input={height: 64, width: 32}", "--set", "optimiser.lr=1e-9", "--threads", "1",
]  # fmt: skip

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def omnireid(omnireid: Run) -> Command:
    """Exit code, and what was said on either stream as one line."""

    def call(*words: str | Path) -> tuple[int, str]:
        done = omnireid(*words)
        return done.code, " ".join((done.out + done.err).split())

    return call


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "x0_25.safetensors"
    save_weights(path, build_model("osnet_x0_25"), model_card("osnet_x0_25"))
    return path


def test_converting_never_replaces_the_checkpoint_nor_writes_under_a_misleading_name(
    omnireid: Command, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "only_copy.pth"
    torch.save(build_model("osnet_x0_25").state_dict(), checkpoint)
    before = checkpoint.read_bytes()
    renamed = tmp_path / "renamed.safetensors"
    renamed.symlink_to(checkpoint)
    for out, message in (
        (checkpoint, "give a name that ends in .safetensors"),
        (renamed, "is the file to convert, which would be lost"),
        (tmp_path / "b.onnx", "give a name that ends in .safetensors"),
        (tmp_path / "noname", "give a name that ends in .safetensors"),
    ):
        code, said = omnireid("models", "convert", checkpoint, "--out", out)
        assert (code, message in said) == (2, True), said
    assert checkpoint.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["only_copy.pth", "renamed.safetensors"]
    code, said = omnireid("models", "convert", checkpoint, "--out", tmp_path / "b.safetensors")
    assert code == 0, said
    assert load_weights(tmp_path / "b.safetensors")[1].origin == "only_copy.pth"


def test_one_of_several_networks_is_converted_by_its_key(omnireid: Command, tmp_path: Path) -> None:
    first, second = build_model("osnet_x0_25"), build_model("osnet_x0_25")
    torch.save({"model": first.state_dict(), "ema": second.state_dict()}, tmp_path / "both.pth")
    out = tmp_path / "ema.safetensors"
    code, said = omnireid("models", "convert", tmp_path / "both.pth", "--out", out)
    assert code == 2
    assert "2 networks, under 'model', 'ema'; say which" in said
    code, said = omnireid("models", "convert", tmp_path / "both.pth", "--out", out, "--key", "ema")
    assert code == 0, said
    assert "They lay under 'ema'." in said
    assert torch.equal(load_weights(out)[0].fc[0].weight, second.fc[0].weight)


@pytest.mark.parametrize("form", ["onnx", "pth", "safetensors"])
def test_training_starts_from_files_that_others_wrote(
    form: str, omnireid: Command, toy_root: Path, tmp_path: Path
) -> None:
    generator = torch.Generator().manual_seed(1)
    true = trained_network("osnet_x0_25", torch.randn(8, 3, 64, 32, generator=generator))
    path = tmp_path / f"theirs.{form}"
    if form == "onnx":
        path.write_bytes(exported(true, folded=True).SerializeToString())
    elif form == "pth":
        torch.save({"state_dict": folded(true).state_dict()}, path)
    else:
        safetensors.torch.save_file(folded(true).state_dict(), path)
    code, said = omnireid(
        "train",
        "--data",
        "market-layout",
        "--root",
        toy_root,
        *TINY,
        "--init",
        path,
        "--out",
        tmp_path / "run",
    )
    assert code == 0, said
    # torch's exporter folds convolutions only; the norm behind the linear layer has its own statistics.
    assert f"{79 if form == 'onnx' else 80} batch norms folded" in said
    network, _ = load_weights(tmp_path / "run" / "model.safetensors")
    for mine, theirs in zip(
        (layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)),
        (layer for layer in folded(true).modules() if isinstance(layer, torch.nn.Conv2d)),
        strict=True,
    ):
        # Up to its scale, which the norm behind it takes off again.
        cosine = torch.nn.functional.cosine_similarity(
            mine.weight.detach().flatten(), theirs.weight.detach().flatten(), dim=0
        )
        assert float(cosine) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("network", "recipe", "expected"),
    [
        (
            ("osnet_x0_25", {}),
            ["model=osnet_x0_5"],
            "these weights are osnet_x0_25, the recipe trains osnet_x0_5; --set model=osnet_x0_25, or other",
        ),
        (
            ("osnet_ain_x0_25", {}),
            [],
            "these weights are osnet_ain_x0_25, the recipe trains osnet_x0_25; --set model=osnet_ain_x0_25,",
        ),
        (
            ("osnet_x0_25", {"embedding_size": 64, "fusion": "addition"}),
            [],
            "these weights are osnet_x0_25 with fusion 'addition' with embedding_size 64, the recipe trains "
            """osnet_x0_25; --set model=osnet_x0_25 --set 'model_options={"fusion": "addition", """
            """"embedding_size": 64}', or""",
        ),
        (
            ("osnet_x0_25", {}),
            ["model_options={stream_depths: [1, 2]}"],
            "these weights are osnet_x0_25, the recipe trains osnet_x0_25 with stream_depths (1, 2); "
            "--set model=osnet_x0_25 --set 'model_options={}', or",
        ),
    ],
    ids=["width", "family", "options of the weights", "options of the recipe"],
)
def test_weights_of_another_network_than_the_recipes_are_refused_in_a_line(
    network: tuple[str, dict[str, Any]], recipe: list[str], expected: str, omnireid: Command, toy_root: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    name, model_options = network
    built = build_model(name, **model_options)
    card = model_card(name).model_copy(update={"embedding_size": built.config.embedding_size})
    save_weights(tmp_path / "w.safetensors", built, card)
    changes = [word for change in recipe for word in ("--set", change)]
    train = ["train", "--data", "market-layout", "--root", toy_root, *TINY, "--out", tmp_path / "run"]
    code, said = omnireid(*train, *changes, "--init", tmp_path / "w.safetensors")
    assert code == 2
    assert said.startswith("error: ")
    assert expected in said
    assert not list((tmp_path / "run").glob("model.safetensors"))


def test_the_remedy_that_is_named_works(omnireid: Command, toy_root: Path, tmp_path: Path) -> None:
    network = build_model("osnet_x0_25", fusion="addition", stream_depths=(1, 2))
    save_weights(tmp_path / "w.safetensors", network, model_card("osnet_x0_25"))
    train = ["train", "--data", "market-layout", "--root", toy_root, *TINY, "--out", tmp_path / "run"]
    _, said = omnireid(*train, "--init", tmp_path / "w.safetensors")
    named = said.partition("--set 'model_options=")[2].partition("'")[0]
    code, said = omnireid(
        *train, "--init", tmp_path / "w.safetensors", "--set", f"model_options={named}",
    )  # fmt: skip
    assert code == 0, said
    assert load_weights(tmp_path / "run" / "model.safetensors")[0].config == network.config


def test_weights_that_are_not_what_their_header_says_are_refused(
    omnireid: Command, weights: Path, toy_root: Path, tmp_path: Path
) -> None:
    header = read_header(weights).to_metadata()["omnireid"]
    content = json.loads(header)
    content["config"]["channels"] = [32, 128, 192, 256]
    content["card"]["architecture"] = "osnet_x0_5"
    state = safetensors.torch.load_file(weights)
    liar = tmp_path / "liar.safetensors"
    safetensors.torch.save_file(state, liar, metadata={"omnireid": json.dumps(content)})
    fewer = tmp_path / "fewer.safetensors"
    del state["conv5.bn.weight"]
    safetensors.torch.save_file(state, fewer, metadata={"omnireid": header})
    data = ["--data", "market-layout", "--root", toy_root, "--out", tmp_path / "run"]
    for command, said_of in (
        (
            ["train", *TINY, "--init", liar, *data],
            f"{liar} does not fit the network. wrong shape: conv1.",
        ),
        (["train", *TINY, "--init", fewer, *data], f"{fewer} does not fit the network. missing: conv5.bn.w"),
        (["evaluate", "--model", fewer, *data], f"{fewer}: damaged"),
    ):
        code, said = omnireid(*command)
        assert code == 2, said
        assert said.startswith(f"error: {said_of}")


def test_what_can_be_converted_is_said_so(omnireid: Command, toy_root: Path, tmp_path: Path) -> None:
    path = tmp_path / "theirs.safetensors"
    safetensors.torch.save_file(build_model("osnet_x0_25").state_dict(), path)
    evaluate = [
        "evaluate",
        "--data",
        "market-layout",
        "--root",
        toy_root,
        "--out",
        tmp_path / "out",
        "--model",
    ]
    code, said = omnireid(*evaluate, path)
    assert code == 2
    assert f"omnireid models convert {path} --out theirs_converted.safetensors" in said
    code, said = omnireid("models", "convert", path, "--out", tmp_path / "theirs_converted.safetensors")
    assert code == 0, said
    code, said = omnireid(*evaluate, tmp_path / "theirs_converted.safetensors", "--no-analysis")
    assert code == 0, said


def test_a_network_file_of_others_runs_by_its_card(omnireid: Command, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    people = write_toy_people(tmp_path / "people") / "query"
    path = stripes_onnx(tmp_path / "net.onnx", 1.0)
    model = onnx.load(str(path))
    del model.metadata_props[:]
    onnx.save(model, str(path))
    code, said = omnireid("embed", people, "--model", path, "--out", tmp_path / "a.npz")
    assert code == 2
    assert "Write a card, net.card.yaml beside it (or elsewhere: --card FILE)" in said
    assert not (tmp_path / "a.npz").exists()
    card = tmp_path / "card-elsewhere.yaml"
    card.write_text(
        "{name: stripes, size: [32, 16], layout: NCHW, colours: BGR, range: 0-255, mean: 0, std: 1, "
        "normalised: false}"
    )
    code, said = omnireid("embed", people, "--model", path, "--card", card, "--out", tmp_path / "a.npz")
    assert code == 0, said
    assert "note: stripes: As its card says: BGR of 0-255." in said
    code, said = omnireid("models", "show", path, "--card", card)
    assert (code, json.loads(said)["name"]) == (0, "stripes")
    code, said = omnireid(
        "embed", people, "--model", path, "--card", card, "--backend", "onxx", "--out", "b.npz"
    )
    assert code == 2
    assert "unknown backend 'onxx': did you mean 'onnx'" in said


def test_the_network_to_train_is_named_by_an_option(omnireid: Command, tmp_path: Path) -> None:
    people = write_toy_people(tmp_path / "people")
    source = ("--data", "market-layout", "--root", people, "--out", tmp_path / "run")
    code, said = omnireid("train", *source, "--recipe", "quickstart", "--architecture", "resnet5")
    assert code == 2
    assert "unknown architecture 'resnet5': did you mean 'resnet50'" in said
