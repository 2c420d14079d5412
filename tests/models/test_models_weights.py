"""Weight files: round trip, same bytes, and every way a file can be wrong. Partial initialisation by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from omnireid.core.card import CardMetric
from omnireid.core.errors import WeightsError
from omnireid.models.cards import model_card
from omnireid.models.classifier import IdentityClassifier
from omnireid.models.osnet import OSNet
from omnireid.models.registry import build_model
from omnireid.models.weight_file import read_card, read_header
from omnireid.models.weight_header import METADATA_KEY
from omnireid.models.weights import initialise_from, load_weights, save_weights

CARD = model_card("osnet_x0_25").model_copy(
    update={
        "name": "trained",
        "training_data": "rendered people, seed 1",
        "metrics": (CardMetric(dataset="rendered", rank1=0.9, protocol="market1501", source="measured"),),
    }
)


@pytest.fixture
def network() -> OSNet:
    return build_model("osnet_x0_25")


def test_round_trip(network: OSNet, tmp_path: Path):
    path = tmp_path / "model.safetensors"
    network(torch.randn(2, 3, 32, 16))  # moves the running statistics
    save_weights(path, network, CARD)
    loaded, card = load_weights(path)
    assert card == CARD == read_card(path)
    assert not loaded.training
    assert list(loaded.state_dict()) == list(network.state_dict())
    for key, value in network.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[key]), key


def test_loading_leaves_torchs_generator_alone(network: OSNet, tmp_path: Path):
    save_weights(tmp_path / "model.safetensors", network, CARD)
    before = torch.get_rng_state()
    load_weights(tmp_path / "model.safetensors")
    assert torch.equal(torch.get_rng_state(), before)


def test_an_ablation_comes_back_as_it_was(tmp_path: Path):
    network = build_model("osnet_ain_x0_25", stream_depths=(1, 3), fusion="fixed_gates", embedding_size=64)
    card = model_card("osnet_ain_x0_25").model_copy(update={"embedding_size": 64})
    save_weights(tmp_path / "model.safetensors", network.to(memory_format=torch.channels_last), card)
    loaded, read = load_weights(tmp_path / "model.safetensors")
    assert loaded.config == network.config
    images = torch.randn(1, 3, 32, 16)
    torch.testing.assert_close(loaded(images), network.eval()(images))
    assert read.num_parameters == sum(parameter.numel() for parameter in network.parameters())


def test_the_wrappers_classifier_is_left_out(network: OSNet, tmp_path: Path):
    save_weights(tmp_path / "a.safetensors", IdentityClassifier(network, 7), CARD)
    save_weights(tmp_path / "b.safetensors", network, CARD)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_a_card_for_other_embeddings_is_refused(tmp_path: Path):
    network = build_model("osnet_x0_25", embedding_size=64)
    with pytest.raises(WeightsError, match="size 512, the network gives 64"):
        save_weights(tmp_path / "model.safetensors", network, CARD)
    assert not (tmp_path / "model.safetensors").exists()


def _rewrite(path: Path, change: dict[str, torch.Tensor | None]) -> None:
    state = safetensors.torch.load_file(path)
    metadata = read_header(path).to_metadata()
    state.update({key: value for key, value in change.items() if value is not None})
    for key in [key for key, value in change.items() if value is None]:
        del state[key]
    safetensors.torch.save_file(state, path, metadata=metadata)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv5.bn.weight": None}, "missing: conv5.bn.weight"),
        ({"classifier.weight": torch.zeros(2, 512)}, "unexpected: classifier.weight"),
        ({"fc.0.bias": torch.zeros(3)}, r"wrong shape: fc.0.bias \(3,\) instead of \(512,\)"),
        ({"fc.0.bias": torch.ones(512)}, "do not have the hash"),
    ],
)
def test_loading_is_strict(
    change: dict[str, torch.Tensor | None], message: str, network: OSNet, tmp_path: Path
):
    path = tmp_path / "model.safetensors"
    save_weights(path, network, CARD)
    _rewrite(path, change)
    with pytest.raises(WeightsError, match=message):
        load_weights(path)


def test_many_missing_keys_are_counted(network: OSNet, tmp_path: Path):
    path = tmp_path / "model.safetensors"
    save_weights(path, network, CARD)
    _rewrite(path, {key: None for key in network.state_dict() if key.startswith("conv4")})
    with pytest.raises(WeightsError, match=r"missing: conv4\.0\.conv1\.conv\.weight, .* and \d+ more"):
        load_weights(path)


def test_files_that_are_damaged_or_of_another_kind(network: OSNet, tmp_path: Path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(WeightsError, match="no such file"):
        load_weights(path)
    with pytest.raises(WeightsError, match="a folder"):
        load_weights(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(WeightsError, match="empty"):
        load_weights(path)
    save_weights(path, network, CARD)
    whole = path.read_bytes()
    for part in (0.001, 0.1, 0.9, 0.9999):
        path.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(WeightsError, match="damaged, truncated"):
            load_weights(path)
    flipped = bytearray(whole)
    flipped[-1000] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(WeightsError, match="do not have the hash"):
        load_weights(path)
    path.write_bytes(whole + b"more")
    with pytest.raises(WeightsError, match="damaged"):
        load_weights(path)

    checkpoint = tmp_path / "model.pth"
    for old_format, message in ((False, "a PyTorch checkpoint; convert"), (True, "a pickle .*convert")):
        torch.save(network.state_dict(), checkpoint, _use_new_zipfile_serialization=not old_format)
        with pytest.raises(WeightsError, match=message):
            load_weights(checkpoint)


def test_weights_without_a_card_are_refused(network: OSNet, tmp_path: Path):
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(network.state_dict(), path)
    with pytest.raises(WeightsError, match="no model card inside"):
        load_weights(path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("card", {"name": "x"}, "architecture"),
        ("card", 3, "card"),
        ("config", {"stream_depth": [1]}, "another version of OmniReID.*stream_depths"),
        ("config", {"fusion": "mixture"}, "another version"),
        ("config", 3, "another version"),
        ("config", None, "header cannot be used"),
    ],
)
def test_a_header_that_cannot_be_used_is_named(
    key: str, value: object, message: str, network: OSNet, tmp_path: Path
):
    path = tmp_path / "model.safetensors"
    save_weights(path, network, CARD)
    content = json.loads(read_header(path).to_metadata()[METADATA_KEY])
    if value is None:
        del content[key]
    else:
        content[key] = value
    safetensors.torch.save_file(network.state_dict(), path, metadata={METADATA_KEY: json.dumps(content)})
    with pytest.raises(WeightsError, match=message):
        load_weights(path)


def test_initialise_from_imagenet_weights_with_another_classifier():
    published = IdentityClassifier(build_model("osnet_x0_25"), num_classes=1000).published_state_dict()
    target = IdentityClassifier(build_model("osnet_x0_25"), num_classes=7)
    classifier = target.classifier.weight.clone()
    with pytest.raises(WeightsError, match=r"wrong shape: classifier.weight"):
        initialise_from(target, published)
    done = initialise_from(target, published, without=("classifier",))
    assert done.kept == done.unused == ("classifier.weight", "classifier.bias")
    assert len(done.loaded) == len(published) - 2
    assert "not used: classifier.weight, classifier.bias" in str(done)
    assert torch.equal(target.classifier.weight, classifier)
    for key, value in target.backbone.state_dict().items():
        assert torch.equal(value, published[key]), key


def test_initialise_from_is_strict_about_everything_else():
    source = build_model("osnet_x0_25", fusion="addition").state_dict()
    target = build_model("osnet_x0_25")
    before = {key: value.clone() for key, value in target.state_dict().items()}
    with pytest.raises(WeightsError, match=r"missing: conv2\.1\.gate"):
        initialise_from(target, source, without=("conv2.0.gate",))
    with pytest.raises(WeightsError, match="nothing is called 'gate'"):
        initialise_from(target, source, without=("gate",))
    assert all(torch.equal(value, before[key]) for key, value in target.state_dict().items())

    gates = [f"conv{stage}.{block}.gate" for stage in (2, 3, 4) for block in (0, 1)]
    done = initialise_from(target, source, without=gates)
    assert len(done.kept) == 6 * 4
    assert done.unused == ()


def _with_family(path: Path, family: str | None) -> None:
    content = json.loads(read_header(path).to_metadata()[METADATA_KEY])
    content.pop("family")
    content |= {} if family is None else {"family": family}
    state = safetensors.torch.load_file(path)
    safetensors.torch.save_file(state, path, metadata={METADATA_KEY: json.dumps(content)})


def test_a_file_of_before_families_is_an_osnet_and_an_unknown_family_is_named(network: OSNet, tmp_path: Path):
    path = tmp_path / "model.safetensors"
    save_weights(path, network, CARD)
    _with_family(path, None)
    loaded, _ = load_weights(path)
    assert loaded.config == network.config
    _with_family(path, "osnett")
    with pytest.raises(WeightsError, match=r"unknown network family 'osnett': did you mean 'osnet'\?"):
        load_weights(path)
