"""`omnireid gallery` as a user meets it: from crops on disk to a search, corrections, erasure and backups."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from command_line import Run
from gallery.lifecycle import refuse_writes
from omnireid import Gallery
from omnireid.cli.app import main
from omnireid.cli.gallery_options import duration, printed_duration
from omnireid.cli.options import moment
from omnireid.core.errors import ConfigError
from toy_people import write_toy_people


@pytest.fixture
def omnireid(omnireid: Run) -> Run:
    """`omnireid gallery`."""
    return partial(omnireid, "gallery")


def save_network(path: Path, seed: int) -> Path:
    """Random weights: they tell pictures apart, which is all that is asked of them here."""
    torch = pytest.importorskip("torch")
    from omnireid.core.card import InputSpec
    from omnireid.models.cards import model_card
    from omnireid.models.osnet import OSNet
    from omnireid.models.registry import architecture_config
    from omnireid.models.weights import save_weights

    torch.manual_seed(seed)
    spec = InputSpec(height=64, width=32)
    card = model_card("osnet_x0_25").model_copy(update={"name": path.stem, "input": spec})
    save_weights(path, OSNet(architecture_config("osnet_x0_25")).eval(), card)
    return path


@dataclass
class Place:
    people: Path
    first: Path
    second: Path
    gallery: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Toy people, two models, and a gallery of the first: 12 crops of 3 people with their identities."""
    folder = tmp_path_factory.mktemp("galleries")
    place = Place(
        write_toy_people(folder / "people"),
        save_network(folder / "first.safetensors", 1),
        save_network(folder / "second.safetensors", 2),
        folder / "gallery",
    )
    with pytest.MonkeyPatch.context() as patch:
        command = ["enrol", "-g", place.gallery, "-m", place.first, "--with-identities"]
        patch.setattr("sys.argv", ["omnireid", "gallery", *map(str, [*command, *dataset(place)])])
        with pytest.raises(SystemExit) as stop:
            main()
    assert not stop.value.code
    return place


@pytest.fixture
def place(made: Place, tmp_path: Path) -> Place:
    """With a gallery of one's own."""
    shutil.copytree(made.gallery, tmp_path / "gallery")
    return Place(made.people, made.first, made.second, tmp_path / "gallery")


def dataset(place: Place) -> list[str]:
    return ["--data", "market-layout", "--root", str(place.people)]


def a_crop(place: Place) -> Path:
    return place.people / "bounding_box_test" / "0008_c2s1_000001_00.jpg"


def state_of(omnireid: Run, gallery: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(omnireid("state", "-g", gallery, "--json").out)
    return state


def test_a_picture_that_was_enrolled_is_found_with_its_person_and_camera(omnireid: Run, place: Place) -> None:
    done = omnireid("search", a_crop(place), "-g", place.gallery, "-m", place.first, "-k", "3", "--json")
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    best = answer["candidates"][0]
    assert best["score"] == pytest.approx(1, abs=1e-3)
    assert (best["identity"], best["item"]["camera"]) == ("pid-8", "c2")
    assert len(answer["candidates"]) == 3
    assert answer["decision"] is None
    assert "calibrat" in answer["note"]
    elsewhere = omnireid(
        "search", a_crop(place), "-g", place.gallery, "-m", place.first, "--camera", "c1", "--json"
    )
    cameras = {one["item"]["camera"] for one in json.loads(elsewhere.out)["candidates"]}
    assert cameras == {"c1"}
    table = omnireid("search", a_crop(place), a_crop(place), "-g", place.gallery, "-m", place.first)
    assert table.code == 0, table.err
    assert "pid-8" in table.out


def test_a_gallery_that_can_only_be_read_is_searched_copied_and_refuses_the_rest_in_one_line(
    omnireid: Run, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as refusing:
        refuse_writes(refusing)
        done = omnireid("search", a_crop(place), "-g", place.gallery, "-m", place.first, "--json")
        assert (done.code, json.loads(done.out)["candidates"][0]["identity"]) == (0, "pid-8")
        assert state_of(omnireid, place.gallery)["read_only"] == "read-only file system"
        assert omnireid("backup", tmp_path / "backup", "-g", place.gallery).code == 0
        for command in (
            ["enrol", "-m", place.first, a_crop(place)],
            ["forget", "--yes", "--identity", "pid-8"],
            ["name", "pid-8", "Ann"],
            ["retention", "run"],
        ):
            refused = omnireid(*command, "-g", place.gallery)
            assert (refused.code, refused.out) == (2, "")
            (line,) = [line for line in refused.err.splitlines() if line.startswith("error")]
            text = f"error: {place.gallery}: cannot be written (read-only file system); let this user write"
            assert line.startswith(text)
    assert omnireid("restore", tmp_path / "backup", "-g", tmp_path / "restored").code == 0
    assert state_of(omnireid, tmp_path / "restored")["items"] == 12


def test_enrolling_again_changes_nothing_and_a_folder_needs_no_dataset(omnireid: Run, place: Place) -> None:
    enrol = ["enrol", "-g", place.gallery, "-m", place.first]
    again = omnireid(*enrol, *dataset(place), "--with-identities")
    assert "0 enrolled, 12 were there already" in again.out
    folder = place.people / "query"
    assert "6 enrolled, 0 were there" in omnireid(*enrol, folder, "--camera", "door").out
    state = state_of(omnireid, place.gallery)
    assert (state["items"], state["identities"], state["cameras"]) == (18, 3, ["c1", "c2", "door"])
    other = omnireid("enrol", "-g", place.gallery, "-m", place.second, folder)
    assert other.code == 2
    assert "not of second" in other.err


def test_fields_of_pictures_come_from_a_table_and_are_listed(
    omnireid: Run, place: Place, tmp_path: Path
) -> None:
    folder = place.people / "query"
    first, second = sorted(folder.iterdir())[:2]
    table = tmp_path / "known.csv"
    table.write_text(
        "path,camera,time,end_time,tracklet,quality,box\n"
        f"{first},door,2026-03-01T12:00:00Z,2026-03-01T12:00:08Z,t1,0.25,1 2 30 60\n{second},,,,,,\n"
    )
    enrol = ["enrol", "-g", place.gallery, "-m", place.first, folder, "--camera", "hall", "--fields", table]
    assert "6 enrolled" in omnireid(*enrol).out
    listed = json.loads(omnireid("items", "-g", place.gallery, "--camera", "door", "--json").out)
    assert [(one["time"], one["end_time"], one["quality"]) for one in listed] == [
        (1772366400.0, 1772366408.0, 0.25)
    ]
    assert (listed[0]["tracklet"], listed[0]["box"]) == ("t1", [1.0, 2.0, 30.0, 60.0])
    shown = omnireid("items", "-g", place.gallery, "--limit", "1")
    assert "door" in shown.out
    assert "there are more" in shown.err
    for row, said in (
        (f"{first},door,2026-03-01T12:00:09Z,2026-03-01T12:00:08Z,t1,0.25,", "end_time: expected a time not"),
        (f"{first},door,,,,good,", "line 2: quality: 'good' does not fit"),
        ("elsewhere.jpg,door,,,,,", "not among the pictures"),
    ):
        table.write_text(f"path,camera,time,end_time,tracklet,quality,box\n{row}\n")
        refused = omnireid(*enrol)
        assert (refused.code, said in refused.err) == (2, True), refused.err
    table.write_text("path,colour\n")
    assert "no field 'colour'; expected path, camera" in omnireid(*enrol).err


def test_items_are_compared_assigned_rejected_and_searched_with(omnireid: Run, place: Place) -> None:
    at = ["-g", place.gallery]
    mine, other = (one["id"] for one in json.loads(omnireid("items", *at, "--limit", "2", "--json").out))
    found = json.loads(omnireid("search", *at, "-m", place.first, "--item", mine, "--json").out)
    assert mine not in {candidate["item"]["id"] for candidate in found["candidates"]}
    assert {group["identity"] for group in found["groups"]} == {"pid-7", "pid-8", "pid-9"}
    compared = json.loads(omnireid("compare", *at, mine, other, "--json").out)
    assert (compared["decision"], compared["calibrated"]) == (None, False)
    assert 0 < compared["score"] < 1
    assert omnireid("assign", *at, mine, "--nobody").code == 0
    assert json.loads(omnireid("show", *at, mine, "--json").out)["identity"] is None
    assert omnireid("undo", *at).code == 0
    noted = omnireid("reject", *at, mine, "--identity", "pid-9").out
    assert omnireid("unreject", *at, noted.split()[-1].rstrip(")")).code == 0
    audit = json.loads(omnireid("audit", *at, "--json").out)
    assert {"verify", "assign", "undo", "reject", "unreject"} <= {entry["action"] for entry in audit}
    assert "either PICTURES or --item" in omnireid("search", *at, "-m", place.first).err
    assert (
        "--assign needs a calibration"
        in omnireid("enrol", *at, "-m", place.first, place.people / "query", "--assign").err
    )


def test_ctrl_c_says_what_stays(omnireid: Run, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    enrol_stream = Gallery.enrol_stream

    def interrupted(*args: Any, **options: Any) -> Iterator[Any]:
        yield next(enrol_stream(*args, **options))
        raise KeyboardInterrupt

    monkeypatch.setattr(Gallery, "enrol_stream", interrupted)
    folder = place.people / "query"
    done = omnireid("enrol", "-g", place.gallery, "-m", place.first, folder, "--batch-size", "4")
    assert done.code != 0
    assert "stopped after 4 of 6: these are enrolled; run again to go on" in done.err
    # The batch that was being written is let to its end.
    assert state_of(omnireid, place.gallery)["items"] in (16, 18)


def test_people_are_named_merged_split_and_all_of_it_undone(omnireid: Run, place: Place) -> None:
    at = ["-g", place.gallery]
    assert omnireid("name", *at, "pid-7", "Ann [Alpha]").code == 0
    assert omnireid("merge", *at, "pid-7", "pid-8").code == 0
    people = json.loads(omnireid("identities", *at, "--json").out)
    assert [(one["id"], one["name"], one["items"]) for one in people] == [
        ("pid-7", "Ann [Alpha]", 8),
        ("pid-9", None, 4),
    ]
    assert "Ann [Alpha]" in omnireid("identities", *at, "--text", "ann").out
    timeline = json.loads(omnireid("show", *at, "pid-8", "--json").out)
    assert timeline["identity"] == "pid-7"
    item = timeline["cameras"][0]["sightings"][0]["items"][0]
    assert omnireid("split", *at, item, "--name", "Bob").code == 0
    assert "Bob" in omnireid("identities", *at).out
    assert omnireid("undo", *at).code == 0
    assert omnireid("undo", *at).code == 0
    assert len(json.loads(omnireid("identities", *at, "--json").out)) == 3
    operations = json.loads(omnireid("operations", *at, "--json").out)
    assert [(one["kind"], one["undone"]) for one in operations] == [
        ("split", True),
        ("merge", True),
        ("name", False),
    ]


def test_an_item_is_shown_with_its_picture(omnireid: Run, place: Place, tmp_path: Path) -> None:
    timeline = json.loads(omnireid("show", "-g", place.gallery, "pid-9", "--json").out)
    item = timeline["cameras"][1]["sightings"][0]["items"][0]
    shown = json.loads(omnireid("show", "-g", place.gallery, item, "--json").out)
    assert (shown["id"], shown["identity"], shown["has_thumbnail"]) == (item, "pid-9", True)
    assert "0009_c2" in shown["source"]
    omnireid("show", "-g", place.gallery, item, "--thumbnail", tmp_path / "item.jpg")
    assert (tmp_path / "item.jpg").read_bytes()[:3] == b"\xff\xd8\xff"


def test_forgetting_asks_first(omnireid: Run, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    at = ["-g", place.gallery]
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    refused = omnireid("forget", *at, "--identity", "pid-7")
    assert refused.code == 130
    assert state_of(omnireid, place.gallery)["items"] == 12
    assert "forgotten: 4 items, 1 identity" in omnireid("forget", *at, "--identity", "pid-7", "--yes").out
    assert state_of(omnireid, place.gallery)["items"] == 8
    gone = omnireid("forget", *at, "--identity", "pid-7", "--yes")
    assert (gone.code, gone.out) == (2, "")
    assert "'pid-7': not in this gallery" in gone.err
    assert "none of these items" in omnireid("forget", *at, "--item", "0" * 32, "--yes").err
    assert "either --identity or --item" in omnireid("forget", *at).err


def test_retention_is_set_shown_and_run(omnireid: Run, place: Place) -> None:
    at = ["-g", place.gallery]
    assert omnireid("retention", "show", *at).out == "default: keep\n"
    done = omnireid("retention", "set", *at, "--default", "3d", "--camera", "c1=12h", "--camera", "a=b=keep")
    assert done.out == "default: 3d\ncamera a=b: keep\ncamera c1: 12h\n"
    done = omnireid("retention", "set", *at, "--camera", "c1=default", "--camera", "c2=0.1s")
    assert done.out == "default: 3d\ncamera a=b: keep\ncamera c2: 0.1s\n"
    assert "erased: 6 items" in omnireid("retention", "run", *at).out
    assert state_of(omnireid, place.gallery)["cameras"] == ["c1"]


def test_a_backup_is_restored_without_who_was_forgotten_since(
    omnireid: Run, place: Place, tmp_path: Path
) -> None:
    at = ["-g", place.gallery]
    assert omnireid("backup", *at, tmp_path / "backup").code == 0
    omnireid("forget", *at, "--identity", "pid-8", "--yes")
    assert omnireid("forgotten", *at, "--out", tmp_path / "gone.json").code == 0
    done = omnireid(
        "restore", tmp_path / "backup", "-g", tmp_path / "new", "--forgotten", tmp_path / "gone.json"
    )
    assert "8 items (4 forgotten, 0 expired left out)" in done.out, done.err
    assert "8 items" in omnireid("copy", place.gallery, tmp_path / "copy").out
    again = omnireid("restore", tmp_path / "backup", "-g", tmp_path / "copy")
    assert again.code == 2
    assert "holds items" in again.err
    for gallery in (tmp_path / "new", tmp_path / "copy"):
        assert state_of(omnireid, gallery)["identities"] == 2
        assert "0 problems" in omnireid("audit", "-g", gallery, "--verify").out


def test_the_gallery_moves_to_another_model(omnireid: Run, place: Place) -> None:
    at = ["-g", place.gallery]
    done = omnireid("move", *at, "-m", place.second)
    assert "12 items moved to second" in done.out, done.err
    answer = json.loads(omnireid("search", a_crop(place), *at, "-m", place.second, "--json").out)
    assert answer["candidates"][0]["identity"] == "pid-8"
    old = omnireid("search", a_crop(place), *at, "-m", place.first)
    assert (old.code, "not of first" in old.err) == (2, True)
    assert "no move had begun" in omnireid("move", *at, "--abandon").out


def test_the_audit_says_who_did_what(omnireid: Run, place: Place) -> None:
    omnireid("name", "-g", place.gallery, "pid-7", "Ann Alpha")
    entries = json.loads(omnireid("audit", "-g", place.gallery, "--json").out)
    assert entries[0]["action"] == "name"
    assert {entry["action"] for entry in entries} == {"enrol", "name"}
    assert "Ann" not in json.dumps(entries)
    log = next((place.gallery / "audit").glob("*.jsonl"))
    log.write_text(log.read_text().replace('"count": 12', '"count": 11', 1))
    spoiled = omnireid("audit", "-g", place.gallery, "--verify")
    assert spoiled.code == 1
    assert "changed" in spoiled.out


def test_the_audit_is_filtered_exported_and_checked(omnireid: Run, place: Place, tmp_path: Path) -> None:
    at = ("-g", place.gallery)
    omnireid("name", *at, "pid-7", "Ann Alpha")
    omnireid("name", *at, "pid-8", "Bo Beta")
    told = omnireid("audit", *at, "--person", "pid-7", "--action", "name").out
    assert told.count("changed the name of a person.") == 1
    assert len(json.loads(omnireid("audit", *at, "--action", "name", "--json").out)) == 2
    assert json.loads(omnireid("audit", *at, "--until", "2001-01-01", "--json").out) == []
    assert json.loads(omnireid("audit", *at, "--by", "no such person", "--json").out) == []
    file = tmp_path / "audit.jsonl"
    done = omnireid("audit", *at, "--export", file)
    assert (done.code, str(file) in done.err) == (0, True)
    alone = omnireid("verify-audit", file)
    assert (alone.code, "0 problems" in alone.out, "the file alone" in alone.out) == (0, True, True)
    assert json.loads(omnireid("audit", *at, "--json").out)[0]["action"] == "export-audit"
    checked = omnireid("verify-audit", file, *at)
    assert (checked.code, "against its log" in checked.out) == (0, True)
    file.write_text(file.read_text().replace('"count": 12', '"count": 11', 1))
    spoiled = omnireid("verify-audit", file, "--json")
    assert spoiled.code == 1
    assert "was changed" in json.loads(spoiled.out)["problems"][0]
    assert "ends in .csv or .jsonl" in omnireid("audit", *at, "--export", tmp_path / "audit.txt").err
    assert "no effect with --verify" in omnireid("audit", *at, "--verify", "--person", "pid-7").err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["state", "-g", "no/such/gallery"], "no gallery there; 'omnireid gallery enrol' makes one"),
        (["enrol", "-g", "x", "-m", "y"], "either SOURCE, or --data and --root"),
        (["name", "-g", "x", "p1"], "either a NAME or --remove"),
        (["move", "-g", "x"], "either --model or --abandon"),
        (["restore", "no/such/backup", "-g", "x"], "not a gallery's backup"),
        (["retention", "set", "-g", "x"], "give --default, --camera, or both"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    omnireid: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = omnireid(*arguments)
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert said in done.err
    assert not any(tmp_path.iterdir())


def test_times_and_durations_are_read_as_written() -> None:
    assert moment("1970-01-02T00:00:00Z", "--since") == 86_400
    assert moment("1970-01-01T02:00:00+02:00", "--since") == 0
    assert moment(None, "--since") is None
    with pytest.raises(ConfigError, match="--until 'soon': expected a date"):
        moment("soon", "--until")
    for text, seconds in (("90s", 90), ("30m", 1_800), ("12h", 43_200), ("3d", 259_200), ("2w", 1_209_600)):
        assert duration(text, "--default") == seconds
        assert duration(printed_duration(seconds), "--default") == seconds
    assert duration("keep", "--default") is None
    for text in ("0h", "3", "d", "-1d", "3 d", "1y"):
        with pytest.raises(ConfigError, match="--default"):
            duration(text, "--default")
