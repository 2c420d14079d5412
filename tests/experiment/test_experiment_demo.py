"""The demo: a gallery of people who do not exist, and pictures to search it with."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from omnireid import Filter, Gallery
from omnireid.core.card import InputSpec, ModelCard
from omnireid.core.errors import InputError, UnknownNameError
from omnireid.core.files import sha256_file
from omnireid.core.images import decode
from omnireid.experiment.demo import FIRST_PID, NAMES, NUM_STRANGERS, Demo, identity_of, prepare_demo
from omnireid.inference.options import DEFAULT_MODEL
from omnireid.models import shipped
from omnireid.synthetic.options import World
from omnireid.synthetic.visits import DAY_S, plan_visits
from toy_people import write_toy_people

SHIPPED = shipped.FOLDER
WORLD = World(seed=1, num_cameras=2, height=64, width=32)
PEOPLE, DAYS = 10, 2
NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the main job leaves, with a network that was never trained."""
    torch = pytest.importorskip("torch")
    from omnireid.models.registry import build_model
    from omnireid.models.weights import save_weights

    folder = tmp_path_factory.mktemp("demo") / "run"
    write_toy_people(folder / "data", num_train=1, num_test=8)
    network = build_model("osnet_x0_25")
    network.initialise(torch.Generator().manual_seed(0))
    card = ModelCard(name="untrained", architecture="osnet_x0_25", input=InputSpec(height=64, width=32))
    save_weights(folder / "model.safetensors", network.eval(), card)
    return folder


def prepared(run: Path, out: Path, **changes: int) -> Demo:
    options = {"num_people": PEOPLE, "num_days": DAYS, **changes}
    return prepare_demo(out, run=run, world=WORLD, now=NOW, **options)


def test_the_gallery_holds_every_visit_at_its_time_and_camera(run: Path, tmp_path: Path) -> None:
    demo = prepared(run, tmp_path / "demo")
    visits = plan_visits(WORLD, first_pid=FIRST_PID, num_people=PEOPLE, num_days=DAYS)
    start = (NOW // DAY_S - DAYS) * DAY_S
    with Gallery.open(str(demo.gallery)) as gallery:
        state = gallery.state()
        found = {item.source: item for item in gallery.items(limit=1000).entries}
        assert state.items == len(visits) == len(found)
        for crop in visits:
            item = found[f"rendered/{crop.tracklet}/{crop.index:03d}.jpg"]
            assert item.time == start + crop.time
            assert item.camera.startswith(f"{crop.camid + 1} ")
            assert item.identity == identity_of(crop, PEOPLE, DAYS)
            assert item.tracklet == crop.tracklet
        one = next(iter(found.values()))
        assert decode(gallery.thumbnail(one.id) or b"").shape == (64, 32, 3)
        known = {crop for crop in visits if identity_of(crop, PEOPLE, DAYS)}
        named = [person.name for person in gallery.identities().entries if person.name]
        assert sorted(named) == sorted(NAMES[: len({identity_of(crop, PEOPLE, DAYS) for crop in known})])
        # Something is left to find out.
        assert gallery.items(Filter(has_identity=False), limit=1000).entries
    pictures = sorted(path.name for path in demo.pictures.iterdir())
    assert sum(name.startswith("stranger") for name in pictures) == NUM_STRANGERS
    assert any(name.startswith("seen_person") for name in pictures)


def test_without_a_run_it_takes_the_weights_that_ship_and_their_calibration(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "weights"
    monkeypatch.setattr(shipped, "FOLDER", folder)
    with pytest.raises(UnknownNameError, match=DEFAULT_MODEL):
        prepare_demo(tmp_path / "demo", run=None, world=WORLD, now=NOW)
    prepared(run, tmp_path / "other")  # leaves a calibration beside the run's model
    folder.mkdir()
    weights = folder / f"{DEFAULT_MODEL}.safetensors"
    weights.write_bytes((run / "model.safetensors").read_bytes())
    calibration = folder / f"{DEFAULT_MODEL}.safetensors.calibration.json"
    calibration.write_bytes((run / "model.safetensors.calibration.json").read_bytes())
    making = yaml.safe_load((SHIPPED / f"{DEFAULT_MODEL}.yaml").read_text())
    (folder / f"{DEFAULT_MODEL}.yaml").write_text(yaml.safe_dump(making | {"sha256": sha256_file(weights)}))
    demo = prepare_demo(tmp_path / "demo", run=None, world=WORLD, num_people=PEOPLE, num_days=DAYS, now=NOW)
    assert (demo.model, demo.calibration) == (weights, calibration)


def test_the_second_call_keeps_what_was_changed_and_an_interrupted_one_goes_on(
    run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "demo"
    demo = prepared(run, out)
    with Gallery.open(str(demo.gallery)) as gallery:
        before = gallery.state().items
        person = gallery.identities().entries[0].id
        gallery.name_identity(person, "Somebody else")
    prepared(run, out)
    with Gallery.open(str(demo.gallery)) as gallery:
        assert gallery.identity(person).name == "Somebody else"
    state = json.loads((out / "demo.json").read_text())
    (out / "demo.json").write_text(json.dumps({**state, "filled": False}))
    # A day later: the visits stay where they were.
    prepare_demo(out, run=run, world=WORLD, num_people=PEOPLE, num_days=DAYS, now=NOW + DAY_S)
    with Gallery.open(str(demo.gallery)) as gallery:
        assert gallery.state().items == before


def test_a_demo_of_other_options_is_not_mixed_in(run: Path, tmp_path: Path) -> None:
    prepared(run, tmp_path / "demo")
    with pytest.raises(InputError, match="another people"):
        prepared(run, tmp_path / "demo", num_people=PEOPLE + 1)


def test_identities_are_the_truth_or_missing_or_one_person_twice() -> None:
    crops = plan_visits(WORLD, first_pid=FIRST_PID, num_people=PEOPLE, num_days=DAYS)
    owners: dict[str, set[int]] = {}
    for crop in crops:
        identity = identity_of(crop, PEOPLE, DAYS)
        if identity is not None:
            owners.setdefault(identity, set()).add(crop.pid)
    assert all(len(pids) == 1 for pids in owners.values())
    first = dataclasses.replace(crops[0], pid=FIRST_PID)
    by_camera = {identity_of(dataclasses.replace(first, camid=camid), PEOPLE, DAYS) for camid in (0, 1)}
    assert by_camera == {"person-001", f"person-{PEOPLE + 1:03d}"}
    assert np.unique([crop.pid for crop in crops]).size == PEOPLE
