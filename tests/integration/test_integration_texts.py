"""Any text through every door: what one refuses all refuse; what they take each of them reaches again."""

from __future__ import annotations

import io
import json
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import typer
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.testclient import TestClient

from gallery.memory_store import MemoryStore
from omnireid import Embedder, Filter, Gallery, Item
from omnireid.cli.app import app, main
from omnireid.core.errors import InputError, OmniReIDError
from omnireid.server.app import create_app
from omnireid.server.client import Client, EnrolItem
from server.toy_service import DIM, MODEL, SHA256, URL, ToyBackend, person

URI = "memory://texts"

NATURAL = [
    "building-2/ann", "tenant/12", "/srv/people/ann", "C:\\people\\ann", "ann@example.org", "Ann Smith", "7",
    "-v", "--yes", "@ann", "ann+bob", "ann&bob=1", "50%", "50%2F", "a%00b", "?gallery=x", "#1", "a;b", "a//b",
    ".", "..", "../ann", "a/..", "x/timeline", "timeline", "merge", "identity", "null", "true", "{}", "'; --",
    'a"b', "[red]b[/]", ":cat:", "张伟", "山田\u3000太郎", "김철수", "Ångström", "علی\u200cرضا", "क्\u200dष",
    "\U0001f469\u200d\U0001f467", "a\u00a0b", "葛\U000e0100城", "x" * 512, "张" * 512, "\U0001f600" * 512,
]  # fmt: skip
REFUSED = [
    "", " ", " ann", "ann ", "ann\n", "a\nb", "a\tb", "a\0b", "a\x7fb", "a\x85b", "a\u2028b", "x" * 513,
    "\ud800", "\ufffd", "an\u200bn", "\ufeffann", "ann\u200d", "\u202eann", "\u2066ann\u2069", "an\u00adn",
    "\u3164", "A\u030angstro\u0308m", "\u1100\u1161", "\u00a0ann",
]  # fmt: skip


class Doors(NamedTuple):
    """One gallery, and three ways to it."""

    gallery: Gallery
    client: Client
    picture: Path


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    store = MemoryStore(URI)
    picture = tmp_path_factory.mktemp("texts") / "somebody.jpg"
    picture.write_bytes(person(1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("omnireid.gallery.gallery.open_store", lambda *_: store)
        # Built once: a tree of commands for every call takes longer than the calls.
        patch.setattr("omnireid.cli.app.app", typer.main.get_command(app))
        patch.setattr(Embedder, "open", lambda *_, **__: Embedder(ToyBackend()))
        with (
            Gallery.open(URI) as gallery,
            TestClient(create_app(Embedder(ToyBackend()), {"texts": gallery})) as http,
        ):
            http.base_url = URL
            client = Client(URL)
            client.close()
            patch.setattr(client, "_http", http)
            yield Doors(gallery, client, picture)


def command(*arguments: str) -> str:
    """What `omnireid gallery …` prints.

    Raises:
        InputError: exit code 2.
    """
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr("sys.argv", ["omnireid", "gallery", arguments[0], "--gallery", URI, *arguments[1:]])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
    if code == 2:
        raise InputError(err.getvalue())
    assert code == 0, err.getvalue()
    return out.getvalue()


def refusal(attempt: Callable[[], object]) -> str | None:
    """Why something was refused; None where it was not."""
    try:
        attempt()
    except (OmniReIDError, ValidationError) as error:
        return str(error)
    return None


def item_of(text: str, number: int) -> dict[str, Any]:
    """Fields of an item in which the text stands wherever a text may."""
    return {
        "camera": text,
        "identity": text,
        "tracklet": text,
        "attributes": {text: text},
        "key": f"{hash(text)} {number}",
    }


def entrances(doors: Doors, text: str) -> list[Callable[[], object]]:
    """Each way in, for a text as an identity and all else, and for its name."""
    gallery, client, _ = doors
    row = np.ones(DIM)

    def over_rest() -> None:
        item = EnrolItem(embedding=row.tolist(), model_sha256=SHA256, **item_of(text, 1))
        client.enrol([item])

    return [
        lambda: gallery.enrol([Item(**item_of(text, 0))], row[None], model=MODEL),
        over_rest,
        lambda: gallery.name_identity("somebody", text),
        lambda: client.name_identity("somebody", text),
        lambda: command("name", "--", "somebody", text),
        # "" is no camera.
        lambda: command(
            "enrol", str(doors.picture), "--model", str(doors.picture), f"--camera={text or ' '}"
        ),
    ]


ODD = st.text("./%2F?#;+&=\\'\"~ -:[]é\u0301\u200d\u202e\ufeff张\ud800\n", max_size=6)
TEXTS = st.one_of(st.text(max_size=12), ODD, st.sampled_from([*NATURAL, *REFUSED]))


def check_doors(doors: Doors, text: str) -> bool:
    """Whether a text comes in; by all doors or by none, and out again by each."""
    gallery, client, _ = doors
    gallery.enrol([Item(identity="somebody", key="somebody")], np.ones((1, DIM)), model=MODEL)
    reasons = [refusal(enter) for enter in entrances(doors, text)]
    if reasons[0] is not None:
        assert None not in reasons, reasons
        assert gallery.items(Filter(identities=frozenset({text}))).entries == ()
        return False
    assert reasons == [None] * len(reasons)
    assert client.identity("somebody").name == gallery.identity("somebody").name == text
    listed = json.loads(command("identities", "--json", "--limit", "1000"))
    assert next(one for one in listed if one["id"] == "somebody")["name"] == text
    # Long ones are wrapped.
    assert text in command("identities") or len(text) > 20

    everywhere = Filter(
        cameras=frozenset({text}),
        identities=frozenset({text}),
        tracklets=frozenset({text}),
        attributes={text: text},
    )
    ids = {item.id for item in gallery.items(everywhere)}
    assert len(ids) == 2
    assert {item.id for item in client.items(cameras=[text], identities=[text])} == ids
    found = client.search(
        embedding=[1.0] * DIM, model_sha256=SHA256, identities=[text], attributes={text: text}
    )
    assert {one.item.id for one in found.candidates} == ids
    searched = command(
        "search",
        str(doors.picture),
        "--model",
        str(doors.picture),
        f"--identity={text}",
        f"--camera={text}",
        "--json",
    )
    assert {one["item"]["id"] for one in json.loads(searched)["candidates"]} == ids

    assert text in [one.id for one in gallery.identities(limit=1000)]
    assert text in [one.id for one in client.identities(limit=1000)]
    assert text in [one["id"] for one in listed]
    assert gallery.identity(text).items == client.identity(text).items == 2
    for name, rename in (
        ("Python", lambda: gallery.name_identity(text, "Python")),
        ("REST", lambda: client.name_identity(text, "REST")),
        ("CLI", lambda: command("name", "--", text, "CLI")),
    ):
        rename()
        assert gallery.identity(text).name == name
    assert gallery.timeline(text).identity == client.timeline(text).identity == text
    assert json.loads(command("show", "--json", "--", text))["identity"] == text

    def by_command() -> None:
        command("forget", f"--identity={text}", "--yes")

    for forget in (lambda: gallery.forget(text), lambda: client.forget(identity=text), by_command):
        gallery.enrol([Item(**item_of(text, 0))], np.ones((1, DIM)), model=MODEL)
        forget()
        assert "not in this gallery" in str(refusal(lambda: client.identity(text)))
    return True


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(text=TEXTS)
@example("e\u0301")
def test_all_doors_take_a_text_or_none_does_and_each_reaches_what_was_taken(doors: Doors, text: str) -> None:
    check_doors(doors, text)


@pytest.mark.parametrize("text", NATURAL, ids=lambda text: ascii(text)[:40])
def test_natural_ids_are_taken(doors: Doors, text: str) -> None:
    assert check_doors(doors, text)


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: ascii(text)[:40])
def test_texts_that_nobody_could_tell_apart_or_type_are_refused_with_the_reason(
    doors: Doors, text: str
) -> None:
    assert not check_doors(doors, text)
    reason = refusal(lambda: doors.gallery.name_identity("somebody", text))
    composed = unicodedata.normalize("NFC", text)
    assert reason is not None
    assert reason.startswith("name: ")
    if composed != text:
        assert composed in reason


OLDER = [" ann ", "\u202eann", "A\u030angstro\u0308m", "an\u200bn", "a\x85b", "\ufffd", "."]


@pytest.mark.parametrize("text", OLDER, ids=lambda text: ascii(text)[:40])
def test_what_older_galleries_hold_is_read_named_merged_and_forgotten(
    doors: Doors, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery, client, _ = doors
    for forget in (
        lambda: gallery.forget(text),
        lambda: client.forget(identity=text),
        lambda: command("forget", f"--identity={text}", "--yes"),
    ):
        with monkeypatch.context() as older:
            older.setattr("omnireid.gallery.texts.fault", lambda *_: "")
            gallery.enrol([Item(**item_of(text, 0))], np.ones((1, DIM)), model=MODEL)
        gallery.enrol([Item(identity="another", key="another")], np.ones((1, DIM)), model=MODEL)
        assert client.identity(text).id == gallery.identity(text).id == text
        assert json.loads(command("show", "--json", "--", text))["identity"] == text
        assert next(client.items(cameras=[text], identities=[text])).tracklet == text
        client.name_identity(text, "Ann")
        merged = client.merge("another", [text])
        client.undo(merged.id)
        gallery.set_retention(None, {text: 60.0})
        client.set_retention("texts", None, {text: 60.0})
        forget()
        assert "not in this gallery" in str(refusal(lambda: client.timeline(text)))


@pytest.mark.parametrize("text", ["\ud800", "a\0b", "nobody"], ids=lambda text: ascii(text)[:40])
def test_who_asks_by_a_text_that_nothing_holds_is_told_so(doors: Doors, text: str) -> None:
    gallery, client, _ = doors
    for ask in (
        lambda: gallery.identity(text),
        lambda: gallery.timeline(text),
        lambda: gallery.forget(text),
        lambda: gallery.item(text),
        lambda: gallery.merge("somebody", [text]),
        lambda: command("show", "--", text),
        lambda: command("forget", f"--identity={text}", "--yes"),
    ):
        assert "not in this gallery" in str(refusal(ask))
    assert refusal(lambda: client.identity(text))
    assert refusal(lambda: client.forget(item=text))
    assert gallery.items(Filter(cameras=frozenset({text}))).entries == ()
