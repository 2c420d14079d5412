"""The audit by person, time, action and actor, in words, and as a file that proves what it holds."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gallery.people import MODEL, Clock, calibration, crowd, items_of, memory_gallery
from omnireid import Gallery
from omnireid.core.errors import InputError
from omnireid.gallery.audit_export import COLUMNS, export, verify_export
from omnireid.gallery.audit_reading import AuditEntry, AuditFilter
from omnireid.gallery.audit_words import ACTIONS, facts, sentence


def lived_in() -> tuple[Gallery, Clock, list[str]]:
    """A gallery where three people did things to four people over some days."""
    gallery = memory_gallery(calibration=calibration())
    clock = gallery.clock
    assert isinstance(clock, Clock)
    rows, pids = crowd(0, 4, 3)
    ids = list(gallery.acting_as("Camera 7").enrol(items_of(pids), rows, model=MODEL).ids)
    rng = np.random.default_rng(0)
    for day in range(12):
        clock.now = 1_000.0 + 86_400 * day
        who = ("Maria Rossi", "maria", "Jan")[day % 3]
        gallery.acting_as(who).search(rows[rng.integers(12)], model=MODEL, k=2)
        if day == 3:
            gallery.acting_as(who).merge("p0", ["p1"])
        if day == 5:
            gallery.acting_as(who).name_identity("p2", "Ann")
        if day == 7:
            gallery.acting_as(who).forget("p3")
    return gallery, clock, ids


def test_filters_find_what_a_plain_list_holds() -> None:
    gallery, _, ids = lived_in()
    everything = gallery.audit(limit=1000)
    hashes = {name: gallery.log.subject(name) for name in (*ids, "p0", "p1", "p2", "p3")}

    def about(*names: str) -> Any:
        wanted = {hashes[name] for name in names}
        return lambda entry: bool(wanted & set(entry.subjects))

    day = 86_400
    cases = (
        ({"action": "search"}, lambda entry: entry.action == "search"),
        ({"actor": "MARIA"}, lambda entry: entry.actor in ("Maria Rossi", "maria")),
        ({"since": 1_000.0 + 5 * day}, lambda entry: entry.time >= 1_000.0 + 5 * day),
        ({"until": 1_000.0 + 5 * day}, lambda entry: entry.time < 1_000.0 + 5 * day),
        ({"subject": ids[4]}, about(ids[4])),
        # Who was merged is the same person; their pictures are theirs.
        ({"subject": "p1"}, about("p0", "p1", *ids[:6])),
        ({"subject": "p2"}, about("p2", *ids[6:9])),
        # Of who was forgotten nobody knows the pictures any more.
        ({"subject": "p3"}, about("p3")),
        ({"subject": "nobody"}, lambda entry: False),
        (
            {"subject": "p0", "action": "search", "since": 1_000.0 + 2 * day, "actor": "jan"},
            lambda entry: (
                about("p0", "p1", *ids[:6])(entry)
                and entry.action == "search"
                and entry.time >= 1_000.0 + 2 * day
                and entry.actor == "Jan"
            ),
        ),
    )
    for asked, accepts in cases:
        expected = [entry for entry in everything if accepts(entry)]
        assert gallery.audit(limit=1000, **asked) == expected, asked
        assert gallery.audit(limit=1000, latest=True, **asked) == expected[::-1], asked
        assert len(expected) < len(everything)
        # Page by page, whatever lies between.
        pages, after = [], None
        where = gallery.audit_filter(**asked)
        while True:
            page = gallery.log.find(where, after=after, limit=2, latest=True, most_looked=5)
            pages += page.entries
            if page.next is None:
                break
            after = page.next
        assert pages == expected[::-1], asked


def test_a_search_by_time_does_not_read_all_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnireid.gallery.audit_reading._CHUNK", 10)
    gallery = memory_gallery()
    clock = gallery.clock
    assert isinstance(clock, Clock)
    for day in range(100):
        # One clock was wrong for a moment: what it wrote does not end the search.
        clock.now = 86_400.0 * day
        gallery.tell("backup", count=day)
    page = gallery.log.find(AuditFilter(since=86_400.0 * 90), limit=50, latest=True)
    assert [entry.count for entry in page.entries] == list(range(99, 89, -1))
    assert page.next is None
    assert page.looked < 40
    assert page.looked_to is not None
    assert page.looked_to < 86_400.0 * 90


def test_every_action_is_a_sentence() -> None:
    gallery, _, _ = lived_in()
    said = [sentence(entry) for entry in gallery.audit(limit=1000)]
    assert said[0] == "Camera 7 added 12 pictures."
    assert said[1].startswith("Maria Rossi searched with one picture through everybody; the answer was “")
    assert "Maria Rossi merged a person into another." in said
    assert "maria had 3 pictures forgotten for good." in said

    def entry(action: str, count: int = 1, actor: str = "Jan", **detail: Any) -> AuditEntry:
        return AuditEntry(0, 0.0, actor, action, count, (), detail)

    limited = entry("search", frames=3, where=["cameras", "since", "until"], decision=None, prior=0.5)
    assert sentence(limited) == (
        "Jan searched with 3 pictures of one person through pictures limited by camera and time; "
        "the answer was scores only."
    )
    assert facts(limited) == [
        ("Pictures searched with", "3"),
        ("Limited by", "camera and time"),
        ("Chance before looking", "50 %"),
    ]
    assert sentence(entry("set-retention", 2, default_s=172_800.0)) == (
        "Jan had pictures kept for 2 days, with times of their own for 2 cameras."
    )
    assert facts(entry("set-retention", default_s=None)) == [("Kept for", "until forgotten by hand")]
    # What a later version writes is still a sentence, and no key is raw.
    assert sentence(entry("watch-add", 3, actor="")) == "Somebody did “watch add” (3)."
    assert facts(entry("watch-add", end_date=True)) == [("End date", "yes")]
    for action in ACTIONS:
        assert "did “" not in sentence(entry(action))


def exported(gallery: Gallery, path: Path, **where: Any) -> list[dict[str, Any]]:
    path.write_text("".join(export(gallery.acting_as("Eve"), gallery.audit_filter(**where), "jsonl")))
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_export_proves_itself_and_is_in_the_log(tmp_path: Path) -> None:
    gallery, _, _ = lived_in()
    before = gallery.audit(limit=1000)
    file = tmp_path / "audit.jsonl"
    lines = exported(gallery, file)
    last = gallery.audit(limit=1, latest=True)[0]
    assert (last.action, last.actor) == ("export-audit", "Eve")
    assert sentence(last) == "Eve exported the audit log as JSON Lines with its proof, all of it."
    stored = list(gallery.store.audit())
    assert [line["entry"] for line in lines[1:-1]] == stored
    assert len(stored) == len(before) + 1
    alone = verify_export(file)
    assert alone.problems == ()
    assert (alone.entries, alone.is_whole, alone.seal) == (len(stored), True, lines[-1]["seal"])
    (chain,) = alone.chains.values()
    assert chain == {"first": 0, "last": len(stored) - 1, "entries": len(stored), "head": stored[-1]["hash"]}
    assert not alone.is_checked_by_key
    # What is written later changes nothing.
    gallery.tell("backup", count=0)
    checked = verify_export(file, gallery)
    assert (checked.problems, checked.is_checked_by_key, checked.is_compared) == ((), True, True)
    some = tmp_path / "some.jsonl"
    exported(gallery, some, action="search", since=90_000.0)
    for against in (None, gallery):
        filtered = verify_export(some, against)
        assert (filtered.problems, filtered.is_whole, filtered.entries) == ((), False, 11)
    exported(gallery, some, subject="p0")
    assert verify_export(some, gallery).problems == ()
    assert gallery.log.subject("p0") not in some.read_text().splitlines()[0]


def sealed_anew(lines: list[dict[str, Any]]) -> str:
    """As somebody forges it who knows the format, but not the gallery's key."""
    from omnireid.gallery.audit_export import _follow, _seal

    seal, text, chains = "0" * 32, "", {}
    for line in lines:
        content = {name: value for name, value in line.items() if name != "seal"}
        if "entry" in content:
            _follow(chains, content["entry"])
        if "end" in content:
            content |= {"entries": len(lines) - 2, "chains": chains}
        seal = _seal(seal, content)
        text += json.dumps({**content, "seal": seal}) + "\n"
    return text


def test_a_changed_export_is_found_out(tmp_path: Path) -> None:
    gallery, _, _ = lived_in()
    file = tmp_path / "audit.jsonl"
    lines = exported(gallery, file)
    whole = file.read_text().splitlines(keepends=True)

    def problems(text: str, against: Gallery | None = None) -> tuple[str, ...]:
        file.write_text(text)
        return verify_export(file, against).problems

    assert problems("".join(whole)) == ()
    changed = [line.replace("maria", "Mario") for line in whole]
    assert changed != whole
    (first, *_) = problems("".join(changed))
    assert first.startswith("line 4: it, or what stood before it, was changed")
    assert problems("".join(whole[:5] + whole[6:]))
    assert problems("".join([*whole[:5], whole[6], whole[5], *whole[7:]]))
    assert any("cut off" in one for one in problems("".join(whole[:-1])))
    assert any("behind the end" in one for one in problems("".join(whole) + whole[3]))
    assert any("cannot be read" in one for one in problems("".join(whole[:4]) + "{\n" + "".join(whole[4:])))
    # Sealed anew, the file alone shows what breaks a chain, and the gallery's key all of it.
    assert problems(sealed_anew(lines)) == ()
    assert any("removed or moved" in one for one in problems(sealed_anew(lines[:5] + lines[6:])))
    forged = json.loads(json.dumps(lines))
    forged[4]["entry"]["actor"] = "Mario"
    assert problems(sealed_anew(forged)) == ()
    assert any("is not as the gallery wrote it" in one for one in problems(sealed_anew(forged), gallery))
    # Cut off before the export's own entry, which nobody can make.
    assert any("own entry" in one for one in problems(sealed_anew(lines[:8] + lines[-1:])))
    # Of a filtered one the log says what is missing.
    lines = exported(gallery, file, action="search")
    shorter = sealed_anew(lines[:5] + lines[6:])
    assert problems(shorter) == ()
    assert any("something else here" in one for one in problems(shorter, gallery))


def test_what_is_no_export_is_said(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    with pytest.raises(InputError, match="cannot be read"):
        verify_export(file)
    for text in ("", "time,who\n", "[1]\n", '{"some": "json"}\n', '{"omnireid_audit": 2}\n'):
        file.write_text(text)
        with pytest.raises(InputError, match="export"):
            verify_export(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not an export"):
        verify_export(file)
    gallery = memory_gallery()
    with pytest.raises(InputError, match="expected one of jsonl, csv"):
        export(gallery, gallery.audit_filter(), "xml")  # type: ignore[arg-type]
    assert gallery.audit() == []


def test_the_csv_reads_and_holds_no_formula() -> None:
    gallery = memory_gallery()
    gallery.acting_as("=1+1").tell("search", count=1, subjects=["p1"], detail={"frames": 2, "where": []})
    text = "".join(export(gallery, gallery.audit_filter(), "csv"))
    header, *rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    assert tuple(header) == COLUMNS
    (first, second) = [dict(zip(header, row, strict=True)) for row in rows]
    assert first["who"] == "'=1+1"
    assert first["time"] == "1970-01-01T00:16:40Z"
    assert first["subjects"] == gallery.log.subject("p1")
    assert (first["n"], second["n"], second["prev"]) == ("0", "1", first["hash"])
    assert second["action"] == "export-audit"
