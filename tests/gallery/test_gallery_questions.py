"""One set of defaults for a search, and what every door does through the gallery: assign, compare, act as."""

from __future__ import annotations

import dataclasses
import gc
import inspect
import weakref

import numpy as np
import pytest

from gallery.people import DIM, MODEL, OTHER, calibration, crowd, items_of, memory_gallery, vectors
from omnireid.cli.gallery import search as search_command
from omnireid.cli.verify import verify as verify_command
from omnireid.core.errors import InputError
from omnireid.evaluation.calibration import Decision
from omnireid.gallery.errors import ModelMismatchError, NotInGalleryError
from omnireid.gallery.gallery import Gallery
from omnireid.gallery.items import Item
from omnireid.gallery.questions import Question
from omnireid.gallery.watching import WatchList
from omnireid.server.schemas import SearchOptions, SearchQuery, SearchRequest, VerifyRequest

EMBEDDINGS, PIDS = crowd(0, 6, 4, noise=0.5)


def test_python_rest_and_command_line_ask_the_same_where_nothing_is_said() -> None:
    usual = dataclasses.asdict(Question())
    for options in (SearchOptions, SearchQuery, SearchRequest):
        known = {name: options.model_fields[name].default for name in SearchOptions.model_fields}
        assert known == {name: usual[name] for name in known}
    assert inspect.signature(search_command).parameters["asked"].default.question() == Question()
    # "Not given" is no number.
    assert usual["prior"] is usual["false_alarm_rate"] is None
    assert VerifyRequest.model_fields["prior"].default is None
    assert inspect.signature(verify_command).parameters["prior"].default is None


def test_a_prior_of_one_half_is_given_and_nothing_is_not() -> None:
    gallery = memory_gallery()
    gallery.enrol(items_of(PIDS), EMBEDDINGS, model=MODEL)
    assert gallery.search(EMBEDDINGS[0], model=MODEL).prior is None
    with pytest.raises(InputError, match="need a calibration"):
        gallery.search(EMBEDDINGS[0], model=MODEL, prior=0.5)
    with pytest.raises(InputError, match="need a calibration"):
        gallery.compare(EMBEDDINGS[0], EMBEDDINGS[1], prior=0.5)
    gallery.calibration = calibration()
    said, unsaid = (gallery.search(EMBEDDINGS[0], model=MODEL, prior=prior) for prior in (0.5, None))
    assert said == unsaid


def test_options_change_a_question_by_name() -> None:
    gallery = memory_gallery()
    gallery.enrol(items_of(PIDS), EMBEDDINGS, model=MODEL)
    question = Question(k=3, group=False)
    assert len(gallery.search(EMBEDDINGS[0], question, model=MODEL).candidates) == 3
    found = gallery.search(EMBEDDINGS[0], question, model=MODEL, k=2, group=True)
    assert (len(found.candidates), len(found.groups)) == (2, 2)
    with pytest.raises(
        InputError, match=r"limit: no option of a search; expected one of evidence, exact, .*, k, "
    ):
        gallery.search(EMBEDDINGS[0], model=MODEL, limit=2)


def test_who_acts_stands_in_audit_history_cases_and_watch_list() -> None:
    gallery = memory_gallery(actor="night shift")
    gallery.enrol(items_of(PIDS), EMBEDDINGS, model=MODEL)
    ann = gallery.acting_as("ann")
    ann.search(EMBEDDINGS[0], model=MODEL)
    assert ann.merge("p0", ["p1"]).actor == "ann"
    assert ann.cases.create("Case", "Reason", 2_000.0).created_by == "ann"
    watch_list = WatchList(gallery)
    assert watch_list.acting_as("ben").add("p2", reason="lost", ends=2_000.0).actor == "ben"
    gallery.undo(gallery.operations()[0].id)
    said = [(entry.action, entry.actor) for entry in gallery.audit()]
    assert said == [
        ("enrol", "night shift"),
        ("search", "ann"),
        ("merge", "ann"),
        ("case-create", "ann"),
        ("watch", "ben"),
        ("undo", "night shift"),
    ]


def test_a_view_shares_what_changes_later_and_keeps_its_gallery() -> None:
    gallery = memory_gallery()
    view = gallery.acting_as("ann").acting_as("ben")
    gallery.calibration = calibration()
    assert view.calibration is gallery.calibration
    view.enrol(items_of(PIDS), EMBEDDINGS, model=MODEL)
    assert gallery.state() == view.state()
    assert [entry.name for entry in watched(gallery)] == [entry.name for entry in watched(view)]
    # By it a forked child knows that none of this is its own.
    opened = weakref.ref(gallery)
    del gallery
    gc.collect()
    assert opened() is not None


def watched(gallery: Gallery) -> list:
    gallery.name_identity("p1", "Ada")
    return list(gallery.identities(limit=1))


def test_an_item_is_searched_with_and_left_out() -> None:
    gallery = memory_gallery(calibration=calibration())
    ids = gallery.enrol(items_of(PIDS), EMBEDDINGS, model=MODEL).ids
    found = gallery.search_item(ids[0], k=24)
    assert ids[0] not in {candidate.item.id for candidate in found.candidates}
    assert found == gallery.search(EMBEDDINGS[0], model=MODEL, k=24, without=[ids[0]])
    fewer = gallery.search_item(ids[0], k=24, without=[ids[1]])
    assert len(fewer.candidates) == len(ids) - 2
    with pytest.raises(ModelMismatchError):
        gallery.search_item(ids[0], model=OTHER)
    with pytest.raises(NotInGalleryError):
        gallery.search_item("0" * 32)


def test_the_search_decides_who_an_item_is() -> None:
    gallery = memory_gallery(calibration=calibration())
    gallery.enrol(items_of(PIDS), EMBEDDINGS, model=MODEL)
    # Somebody known, a stranger twice, somebody who was named by whoever enrols, and a picture that is there.
    stranger = 3 * vectors(9, 1)[0]
    rows = np.stack([EMBEDDINGS[0], stranger, stranger, EMBEDDINGS[4], EMBEDDINGS[8]])
    items = [Item(key="a"), Item(key="b"), Item(key="c"), Item(key="d", identity="Eve"), items_of(PIDS)[8]]
    done = gallery.enrol(items, rows, model=MODEL, assign=True)
    assert done.is_new.tolist() == [True, True, True, True, False]
    known, new, again, told, there = done.assigned
    assert (known.decision, known.identity) == (Decision.SAME, "p0")
    assert known.probability > 0.5
    assert (new.decision, new.probability) == (Decision.NEW, None)
    assert new.identity not in {None, *(f"p{pid}" for pid in PIDS)}
    assert (again.decision, again.identity) == (Decision.SAME, new.identity)
    assert (told.decision, told.identity, told.operation) == (None, "Eve", None)
    assert (there.identity, there.operation) == ("p2", None)
    gallery.undo(known.operation)
    assert gallery.item(done.ids[0]).identity is None


def test_without_a_calibration_nothing_is_assigned_and_nothing_added() -> None:
    gallery = memory_gallery()
    with pytest.raises(InputError, match="assign: needs a calibration"):
        gallery.enrol([Item(key="a")], vectors(0, 1), model=MODEL, assign=True)
    assert gallery.state().items == 0


def test_items_and_embeddings_are_compared() -> None:
    gallery = memory_gallery(calibration=calibration())
    with pytest.raises(InputError, match="model: the gallery is empty"):
        gallery.compare(EMBEDDINGS[0], EMBEDDINGS[1])
    ids = gallery.enrol(items_of(PIDS), EMBEDDINGS, model=MODEL).ids
    same, other = gallery.compare(ids[0], ids[1]), gallery.compare(ids[0], EMBEDDINGS[-1])
    assert (same.decision, other.decision) == (Decision.SAME, Decision.NEW)
    unit = EMBEDDINGS / np.linalg.norm(EMBEDDINGS, axis=1, keepdims=True)
    assert same.score == pytest.approx(float(unit[0] @ unit[1]), abs=1e-6)
    assert gallery.compare(ids[0], ids[1], prior=0.01).probability < same.probability
    entry = gallery.audit(limit=3, latest=True)[1]
    assert (entry.action, entry.count) == ("verify", 2)
    assert entry.subjects == (gallery.log.subject(ids[0]),)
    with pytest.raises(ModelMismatchError):
        gallery.compare(ids[0], np.ones(DIM), model=OTHER)
