"""Cases: snapshots that stay as they were, and that leave nothing of who is forgotten."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gallery.lifecycle import noise, stopped_after_each_write
from gallery.memory_store import MemoryStore
from gallery.people import DIM, MODEL, Clock, calibration, crowd
from omnireid import Gallery, Item
from omnireid.core.errors import InputError
from omnireid.evaluation.calibration import Calibration
from omnireid.gallery.backup import Backup, Snapshot, write_backup
from omnireid.gallery.case_entries import Measured, Model, Query, SearchSeen, meaning
from omnireid.gallery.cases import Candidate, Hypothesis
from omnireid.gallery.errors import ConflictError, NotInGalleryError, NotWritableError
from omnireid.gallery.opening import open_store
from omnireid.gallery.restoring import read_tombstones, restore, write_tombstones

NOW = 1_000.0
END = 9_000.0
EMBEDDINGS, PIDS = crowd(3, 4, 3)
ASKED = b"\xff\xd8\xff" + noise("asked", 300)


def picture(number: int) -> bytes:
    return b"\xff\xd8\xff" + noise(f"crop{number}", 300)


@cache
def known_calibration() -> Calibration:
    return calibration()


def gallery_in(store: Any, **options: Any) -> tuple[Gallery, list[str]]:
    """Four people with three pictures each; p1 is called Ada Alpha."""
    gallery = Gallery(store, clock=Clock(NOW), calibration=known_calibration(), **options)
    items = [
        Item(camera=f"cam{n % 3}", time=float(n), identity=f"p{pid}", thumbnail=picture(n), key=f"crop{n}")
        for n, pid in enumerate(PIDS)
    ]
    ids = gallery.enrol(items, EMBEDDINGS, model=MODEL).ids
    gallery.name_identity("p1", "Ada Alpha")
    return gallery, list(ids)


def searched(gallery: Gallery, who: int = 3) -> tuple[SearchSeen, list[Hypothesis]]:
    """A search that was asked for, as a page has it."""
    found = gallery.search(EMBEDDINGS[who], model=MODEL, k=4)
    answer = SearchSeen(
        query=Query(kind="file"),
        model=Model(name=found.model.name, sha256=found.model.sha256),
        decision=found.decision.value if found.decision else None,
        calibrated=True,
        is_exact=True,
        words=["Ada Alpha or p2"],
        false_alarm_rate=found.false_alarm_rate,
    )
    groups = [
        Hypothesis(
            group.identity,
            group.score,
            group.probability,
            None if group.decision is None else group.decision.value,
            [
                Candidate(one.item.id, one.score, one.probability, one.decision and one.decision.value)
                for one in group.candidates
            ],
        )
        for group in found.groups
    ]
    return answer, groups


def full_case(gallery: Gallery, ids: list[str]) -> str:
    """A case with a search for Ada by a picture of her, Ada, pictures of her and of p2, and a note."""
    case = gallery.cases.create("The bicycle of Ada Alpha", "Theft on 3 May; Art. 6", END).id
    gallery.cases.add_search(case, *searched(gallery), pictures=[ASKED])
    gallery.cases.add_person(case, "p1", "seen at the door")
    gallery.cases.add_items(case, [ids[3], ids[6]])
    gallery.cases.add_note(case, "ADA ALPHA left; Adam stayed")
    return case


def held(gallery: Gallery, case: str) -> str:
    """All that is kept of a case, with its pictures in clear."""
    kinds = ("case", f"case-{case}", f"case-{case}-pictures")
    records = {kind: gallery.store.records(kind) for kind in kinds}
    for one in records[kinds[2]].values():
        one["content"] = base64.b64decode(one["content"]).hex()
    return json.dumps(records, sort_keys=True)


def assert_without_ada(gallery: Gallery, case: str, ids: list[str]) -> None:
    text = held(gallery, case)
    # "p1" as a word; hexadecimal ids are random.
    assert not re.search(r'ada alpha|"p1"', text, re.IGNORECASE)
    assert not [number for number in (3, 4, 5) if ids[number] in text or picture(number).hex() in text]
    assert ASKED.hex() not in text


def test_entries_are_what_was_seen_then() -> None:
    gallery, ids = gallery_in(MemoryStore())
    case = full_case(gallery, ids)
    gallery.name_identity("p1", "Somebody Else")
    gallery.assign([ids[3]], "p2")
    search, person, pictures, note = gallery.cases.entries(case)
    assert [one.number for one in (search, person, pictures, note)] == [1, 2, 3, 4]
    assert search.search is not None
    assert person.person is not None
    assert (search.search.groups[0].name, person.person.name) == ("Ada Alpha", "Ada Alpha")
    assert [one.item for one in person.sightings] == ids[5:2:-1]
    assert [one.identity for one in pictures.sightings] == ["p1", "p2"]
    assert gallery.cases.picture(case, ids[3]) == picture(3)
    assert gallery.cases.picture(case, search.search.query.pictures[0]) == ASKED
    # The audit's own entry, found without knowing how it is written.
    entry = next(one for one in gallery.store.audit() if one["action"] == "search")
    assert search.proof is not None
    assert (search.proof.hash, search.proof.actor) == (entry["hash"], "local")
    actions = [one.action for one in gallery.audit(limit=1000) if one.action.startswith("case")]
    assert actions == ["case-create", *["case-add"] * 4]
    assert all(gallery.log.subject(case) in one.subjects for one in gallery.audit(limit=1000)[-4:-2])


def test_a_search_that_the_audit_does_not_hold_is_refused() -> None:
    gallery, _ = gallery_in(MemoryStore())
    case = gallery.cases.create("Case", "Reason", END).id
    answer, groups = searched(gallery.acting_as("ann"))
    gallery.acting_as("ann").cases.add_search(case, answer, groups)
    other = "new" if answer.decision == "same" else "same"
    stranger = [Hypothesis(None, 0.9, None, None, [Candidate("0" * 32, 0.9, None, None)])]
    for changed, found, actor in (
        (answer, groups, "ben"),
        (answer.model_copy(update={"decision": other}), groups, "ann"),
        (answer, stranger, "ann"),
        (answer, [], "ann"),
    ):
        with pytest.raises(ConflictError, match="audit log holds no such search"):
            gallery.acting_as(actor).cases.add_search(case, changed, found)
    assert len(gallery.cases.entries(case)) == 1


def test_who_is_forgotten_goes_from_every_case() -> None:
    gallery, ids = gallery_in(MemoryStore())
    case = full_case(gallery, ids)
    assert ASKED.hex() in held(gallery, case)
    gallery.forget("p1")
    assert_without_ada(gallery, case, ids)
    search, person, pictures, note = gallery.cases.entries(case)
    assert person.forgotten is not None
    assert (person.sightings, person.note) == ([], "")
    assert search.search is not None
    assert search.search.query.forgotten
    assert {one.identity for one in search.search.groups} == {"p0", "p2", "p3"}
    assert (pictures.lost, [one.item for one in pictures.sightings]) == (1, [ids[6]])
    assert note.note == "[forgotten] left; Adam stayed"
    assert gallery.cases.case(case).title == "The bicycle of [forgotten]"
    assert gallery.cases.picture(case, ids[6]) == picture(6)


def test_pictures_that_expire_or_are_forgotten_alone_go_with_their_person() -> None:
    gallery, ids = gallery_in(MemoryStore())
    case = full_case(gallery, ids)
    gallery.forget(items=ids[3:5])
    assert gallery.cases.entries(case)[1].lost == 2
    gallery.clock.now = NOW + 1  # type: ignore[attr-defined]
    gallery.set_retention(gallery.clock() - 5.5)
    gallery.run_retention()
    # Those up to second 5 have expired: all of p0 and p1.
    assert_without_ada(gallery, case, ids)
    assert gallery.cases.entries(case)[1].forgotten is not None
    assert gallery.cases.picture(case, ids[6]) == picture(6)


def test_stopped_anywhere_forgetting_is_finished_and_no_entry_is_half() -> None:
    def make() -> MemoryStore:
        gallery, ids = gallery_in(MemoryStore())
        full_case(gallery, ids)
        return gallery.store  # type: ignore[return-value]

    for store in stopped_after_each_write(make, lambda store: Gallery(store).forget("p1")):
        gallery = Gallery(store, clock=Clock(NOW))
        (case,) = gallery.cases.all()
        if "p1" not in {one.id for one in gallery.identities()}:
            assert_without_ada(gallery, case.id, [one["id"] for one in _rows(store)])
    for store in stopped_after_each_write(make, lambda store: _only(store).delete(_only(store).all()[0].id)):
        gallery = Gallery(store, clock=Clock(NOW))
        for case in gallery.cases.all():
            assert len(gallery.cases.entries(case.id)) == 4
            for name in gallery.cases.entries(case.id)[0].search.query.pictures:  # type: ignore[union-attr]
                assert gallery.cases.picture(case.id, name) == ASKED
        if not gallery.cases.all():
            assert not [kind for kind, found in store._records.items() if kind.startswith("case") and found]


def _only(store: MemoryStore) -> Any:
    return Gallery(store, clock=Clock(NOW)).cases


def _rows(store: MemoryStore) -> list[dict[str, Any]]:
    known = {one["id"]: one for rows in store._rows.values() for one in rows.values()}
    ids = gallery_in(MemoryStore())[1]
    return [known.get(one, {"id": one}) for one in ids]


def test_nothing_of_them_is_in_any_file(tmp_path: Path) -> None:
    gallery, ids = gallery_in(open_store(str(tmp_path / "gallery")))
    case = full_case(gallery, ids)
    other = gallery.cases.create("A secret title", "A secret reason", END).id
    gallery.cases.add_note(other, "a secret note")

    def files() -> bytes:
        paths = [path for path in (tmp_path / "gallery").rglob("*") if path.is_file()]
        return b"".join(path.read_bytes() for path in paths)

    words = (b"Ada Alpha", b"seen at the door", b"a secret note", b"A secret reason")
    pictures = [base64.b64encode(one) for one in (ASKED, picture(4))]
    before = files()
    assert all(word in before for word in (*words, *pictures))
    gallery.forget("p1")
    gallery.cases.delete(other)
    after = files()
    assert [word for word in (*words, *pictures) if word in after] == []
    assert base64.b64encode(picture(6)) in after
    assert len(gallery.cases.entries(case)) == 4
    gallery.close()


def test_copies_and_backups_carry_cases_without_who_was_forgotten_since(tmp_path: Path) -> None:
    gallery, ids = gallery_in(MemoryStore())
    case = full_case(gallery, ids)
    gone = gallery.cases.create("Deleted later", "Reason", END).id
    # Somebody with a name and without pictures, as after an assignment.
    zoe = gallery.split([ids[0]], "Zoe Zeta").identity
    assert zoe is not None
    gallery.assign([ids[0]], "p0")
    gallery.cases.add_person(case, zoe)
    write_backup(Snapshot(gallery.store), tmp_path / "backup", clock=lambda: NOW)

    def restored(source: Any, **options: Any) -> Gallery:
        store = MemoryStore()
        restore(source, store, clock=lambda: NOW, **options)
        return Gallery(store, clock=Clock(NOW))

    whole = held(gallery, case)
    for source in (Backup(tmp_path / "backup"), Snapshot(gallery.store)):
        assert held(restored(source), case) == whole
    gallery.clock.now += 1  # type: ignore[attr-defined]
    gallery.forget("p1")
    gallery.forget(zoe)
    gallery.cases.delete(gone)
    write_tombstones(gallery.store, tmp_path / "forgotten")
    target = restored(Backup(tmp_path / "backup"), tombstones=read_tombstones(tmp_path / "forgotten"))
    assert_without_ada(target, case, ids)
    assert "Zoe" not in held(target, case)
    assert [one.id for one in target.cases.all()] == [case]
    # Who comes back and is added anew stays in every later copy.
    gallery.clock.now += 1  # type: ignore[attr-defined]
    back = [Item(camera="cam1", time=50.0, identity="p1", thumbnail=picture(4), key="crop4")]
    gallery.enrol(back, EMBEDDINGS[4:5], model=MODEL)
    gallery.cases.add_person(case, "p1")
    later = restored(Snapshot(gallery.store), tombstones=read_tombstones(tmp_path / "forgotten"))
    assert held(later, case) == held(gallery, case)
    assert later.cases.entries(case)[-1].person is not None

    # An interrupted restore leaves nothing behind.
    def again(store: MemoryStore) -> None:
        restore(Backup(tmp_path / "backup"), store, clock=lambda: NOW)

    for store in stopped_after_each_write(MemoryStore, again):
        again_from = read_tombstones(tmp_path / "forgotten")
        if store.records("restore"):
            restore(Backup(tmp_path / "backup"), store, tombstones=again_from, clock=lambda: NOW)
            assert_without_ada(Gallery(store, clock=Clock(NOW)), case, ids)


def test_cases_end_close_and_change() -> None:
    gallery, ids = gallery_in(MemoryStore())
    cases = gallery.cases
    with pytest.raises(InputError, match="ends: expected a time to come"):
        cases.create("Case", "Reason", NOW)
    with pytest.raises(InputError, match="reason: expected a text, got an empty one"):
        cases.create("Case", " ", END)
    one = gallery.acting_as("ann").cases.create("Case", "Reason", END)
    entry = cases.add_items(one.id, ids[:2])
    cases.add_items(one.id, ids[1:3])
    cases.remove(one.id, entry.id)
    cases.remove(one.id, cases.add_note(one.id, "wrong").id)
    cases.add_note(one.id, "right")
    with pytest.raises(NotInGalleryError):
        cases.picture(one.id, ids[0])
    assert cases.picture(one.id, ids[1]) == picture(1)
    # Numbers are not given again.
    assert [each.number for each in cases.entries(one.id)] == [2, 4]
    assert cases.change(one.id, title="Better").title == "Better"
    assert gallery.acting_as("ben").cases.close(one.id).closed_by == "ben"
    for act in (
        lambda: cases.add_note(one.id, "late"),
        lambda: cases.change(one.id, title="later"),
        lambda: cases.close(one.id),
    ):
        with pytest.raises(ConflictError, match="closed"):
            act()
    assert cases.reopen(one.id).closed is None
    gallery.clock.now = END  # type: ignore[attr-defined]
    assert cases.all() == []
    with pytest.raises(NotInGalleryError):
        cases.entries(one.id)
    assert gallery.store.records("case")
    gallery.run_retention()
    assert not gallery.store.records("case")
    assert not gallery.store.records(f"case-{one.id}-pictures")
    assert gallery.audit(limit=1, latest=True)[0].action == "case-end"
    gallery.store.read_only = "read-only file system"
    with pytest.raises(NotWritableError):
        cases.create("Case", "Reason", 2 * END)


def test_an_exported_file_is_checked() -> None:
    gallery, ids = gallery_in(MemoryStore())
    case = full_case(gallery, ids)
    made = gallery.acting_as("ann").cases.export(case, name="main")
    text = re.findall(r'<script type="application/json" id="case">\n(.*)\n</script>', made.content)
    assert [hashlib.sha256(one.encode()).hexdigest() for one in text] == [made.sha256]
    held_in_it = json.loads(text[0])
    assert base64.b64decode(held_in_it["pictures"][ids[6]]["content"]) == picture(6)
    raw = [one for one in gallery.store.audit() if one["action"] in ("search", "case-create", "case-add")]
    assert [one["hash"] for one in held_in_it["audit"]["entries"]] == [one["hash"] for one in raw]
    assert held_in_it["audit"]["problems"] == []
    found = gallery.cases.check(made.content)
    assert (found.is_unchanged, found.is_own_page) == (True, True)
    assert found.exported_here is not None
    assert (found.exported_here.time, found.exported_here.actor) == (NOW, "ann")
    # Sent by mail, on Windows.
    assert gallery.cases.check("\ufeff" + made.content.replace("\n", "\r\n")).is_own_page
    tampered = made.content.replace("Theft on 3 May", "Theft on 4 May")
    found = gallery.cases.check(tampered)
    assert (found.is_unchanged, found.is_own_page, found.exported_here) == (False, True, None)
    # With a new hash it looks whole: the audit alone knows.
    forged = tampered.replace(made.sha256, found.sha256)
    found = gallery.cases.check(forged)
    assert (found.is_unchanged, found.exported_here) == (True, None)
    shown = made.content.replace("Unchanged", "Approved")
    assert not gallery.cases.check(shown).is_own_page
    other, _ = gallery_in(MemoryStore())
    assert other.cases.check(made.content).exported_here is None
    for damaged in ("", "<html></html>", made.content[: len(made.content) // 2]):
        with pytest.raises(InputError, match="not a case that OmniReID has exported"):
            gallery.cases.check(damaged)
    for damaged in (text[0].replace('"title"', '"name"'), "[" * 100_000, text[0][:-9], "NaN"):
        with pytest.raises(InputError, match=r"cannot be read .*: it is changed or damaged"):
            gallery.cases.check(made.content.replace(text[0], damaged))
    later = text[0].replace('"version":1', '"version":2')
    of_later = made.content.replace(text[0], later).replace(
        made.sha256, hashlib.sha256(later.encode()).hexdigest()
    )
    with pytest.raises(InputError, match=r"\(version\): it is of a later version"):
        gallery.cases.check(of_later)


def test_what_the_numbers_mean_is_said_per_search_where_the_service_does() -> None:
    answer = SearchSeen(
        query=Query(kind="file"),
        model=Model(name="toy", sha256="a" * 64),
        decision="same",
        calibrated=True,
        is_exact=True,
        false_alarm_rate=0.001,
        prior=0.5,
    )
    assert meaning(answer)[0].startswith("Wanted: of 1,000 comparisons with strangers, about 1 ends in")
    measured = Measured(people=90, rate=0.0012, low=0.0004, high=0.003)
    per_search = answer.model_copy(
        update={"people": 90, "nobody": 0.25, "others": 0.05, "same_from": 0.97, "measured": measured}
    )
    assert meaning(per_search) == [
        "“Likely the same person” is said from a probability of 97 % on. It is no proof of identity.",
        "Wanted: of 1,000 searches for strangers through these 90 people, about 1 ends in "
        "“likely the same person”.",
        "Measured when calibrating: among 90 people, 0.1 % of searches for strangers ended in "
        "“likely the same person” (95 % interval 0.04 % to 0.3 %).",
        "Probability before looking, that the person is in the gallery at all: 50 %.",
        "Probability of nobody in the gallery: 25 %, of somebody who is not shown: 5 %.",
        "The search was exact.",
    ]


def test_limits_of_a_case() -> None:
    gallery, _ = gallery_in(MemoryStore())
    case = gallery.cases.create("Case", "Reason", END).id
    large = [
        Item(camera="cam", time=float(n), thumbnail=b"\xff\xd8\xff" + noise(f"large{n}", 47_000))
        for n in range(200)
    ]
    ids = gallery.enrol(large, np.ones((200, DIM)), model=MODEL).ids
    for start in range(0, 7 * 24, 24):
        gallery.cases.add_items(case, ids[start : start + 24])
    with pytest.raises(InputError, match="would take more than 8 MB"):
        gallery.cases.add_items(case, ids[168:192])
    assert len(gallery.cases.entries(case)) == 7
