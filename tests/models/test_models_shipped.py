"""Networks that come with the package: found by name, hashed, described; none is claimed that is absent."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from omnireid.core.errors import UnknownNameError, WeightsError
from omnireid.core.files import sha256_file
from omnireid.inference.embedder import Embedder
from omnireid.inference.lookup import find_weights
from omnireid.inference.options import DEFAULT_MODEL
from omnireid.models import shipped
from omnireid.models.cards import list_models, model_card
from omnireid.models.registry import build_model
from omnireid.models.weight_file import read_arrays, read_card
from omnireid.models.weights import holds_weights, load_weights, save_weights
from omnireid.training.recipe import load_recipe

ROOT = Path(shipped.FOLDER).parents[2]


@pytest.fixture
def shipment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the package's, in which the default network has been made: one with random weights."""
    text = (shipped.FOLDER / f"{DEFAULT_MODEL}.yaml").read_text()
    file = tmp_path / f"{DEFAULT_MODEL}.safetensors"
    card = model_card("osnet_x0_25").model_copy(
        update={"name": DEFAULT_MODEL, "training_data": "nothing", "licence": "Apache-2.0"}
    )
    save_weights(file, build_model("osnet_x0_25"), card, half=True)
    making = yaml.safe_load(text) | {"sha256": sha256_file(file)}
    (tmp_path / f"{DEFAULT_MODEL}.yaml").write_text(yaml.safe_dump(making))
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    return tmp_path


def test_the_default_is_described_and_its_recipe_is_known() -> None:
    assert DEFAULT_MODEL in shipped.list_makings()
    for name in shipped.list_makings():
        making = shipped.read_making(name)
        # The name stays where another architecture of that size is better; the card says which it is.
        width = load_recipe(making.recipe, making.changes).model.rpartition("_x")[2]
        assert f"_x{width}_" in name


def test_what_is_described_as_made_is_there_and_is_what_was_made() -> None:
    for name in shipped.list_shipped():
        file = shipped.shipped_file(name)
        assert file is not None
        assert sha256_file(file) == shipped.read_making(name).sha256, f"{file}: not what its description made"
        card = model_card(name)
        assert (card.name, card.licence) == (name, shipped.read_making(name).licence)
        assert card.metrics, f"{name}: ships without a measured figure"
        assert file.with_name(f"{name}.safetensors.calibration.json").is_file(), (
            f"{name}: ships without a calibration"
        )
        assert file.stat().st_size < 2**20 or "x0_25" not in name


def test_no_weights_lie_there_that_nobody_describes() -> None:
    described = {
        f"{name}{end}"
        for name in shipped.list_shipped()
        for end in (".safetensors", ".safetensors.calibration.json")
    }
    # The detector of people, which is not of this project's making, has a card to read.
    described |= {path.name.replace(".card.md", ".onnx") for path in shipped.FOLDER.glob("*.card.md")}
    data = {path.name for path in shipped.FOLDER.iterdir() if path.suffix not in (".yaml", ".md")}
    assert data == described


def test_the_notice_names_what_ships() -> None:
    notice = (ROOT / "NOTICE").read_text()
    named = set(re.findall(r"omnireid/weights/(\w+)\.safetensors", notice))
    assert named == set(shipped.list_shipped())
    assert ("None is in this version." in notice) == (not named)


def test_a_shipped_network_is_found_by_name_and_taken_where_none_is_named(shipment: Path) -> None:
    file = shipment / f"{DEFAULT_MODEL}.safetensors"
    assert find_weights(DEFAULT_MODEL) == file
    assert DEFAULT_MODEL in list_models()
    assert model_card(DEFAULT_MODEL).sha256 == sha256_file(file)
    embedder = Embedder.open(backend="torch", device="cpu")
    assert (embedder.card.name, embedder.sha256) == (DEFAULT_MODEL, sha256_file(file))
    crops = np.random.default_rng(1).integers(0, 256, (2, 256, 128, 3), dtype=np.uint8)
    np.testing.assert_allclose(np.linalg.norm(embedder.embed(crops), axis=1), 1, rtol=1e-5)


def test_a_shipped_file_that_is_missing_is_an_error_that_says_what_to_do(shipment: Path) -> None:
    (shipment / f"{DEFAULT_MODEL}.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"is missing: install the package again"):
        find_weights(DEFAULT_MODEL)


def test_a_network_that_has_not_been_made_says_how_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    making = yaml.safe_load((shipped.FOLDER / f"{DEFAULT_MODEL}.yaml").read_text())
    making.pop("sha256", None)
    (tmp_path / f"{DEFAULT_MODEL}.yaml").write_text(yaml.safe_dump(making))
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    assert shipped.list_shipped() == ()
    with pytest.raises(WeightsError, match=f"models reproduce {DEFAULT_MODEL}"):
        Embedder.open()


def test_descriptions_are_closed_and_unknown_names_are_told(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=DEFAULT_MODEL):
        shipped.read_making(DEFAULT_MODEL[:-1])
    making = yaml.safe_load((shipped.FOLDER / f"{DEFAULT_MODEL}.yaml").read_text())
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(making | {"licens": "MIT"}))
    with pytest.raises(WeightsError, match="licens"):
        shipped.read_making("other", tmp_path)


def test_half_stores_matrices_only_and_loads_as_float32(tmp_path: Path) -> None:
    network = build_model("osnet_x0_25")
    card = model_card("osnet_x0_25")
    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    save_weights(whole, network, card)
    save_weights(half, network, card, half=True)
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    assert holds_weights(half, network, half=True)
    assert not holds_weights(half, network)
    assert read_card(half) == read_card(whole)
    loaded = load_weights(half)[0].state_dict()
    arrays = read_arrays(half)[1]
    for key, value in network.state_dict().items():
        assert loaded[key].dtype == value.dtype
        expected = value.half().float() if value.ndim > 1 else value
        np.testing.assert_array_equal(loaded[key], expected)
        np.testing.assert_array_equal(arrays[key], expected)


def test_what_float16_cannot_hold_is_refused(tmp_path: Path) -> None:
    network = build_model("osnet_x0_25")
    network.conv1.conv.weight.data[0, 0, 0, 0] = 1e6
    with pytest.raises(WeightsError, match=r"conv1\.conv\.weight holds values that float16 cannot"):
        save_weights(tmp_path / "half.safetensors", network, model_card("osnet_x0_25"), half=True)
