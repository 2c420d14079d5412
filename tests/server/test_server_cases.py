"""Cases over HTTP, and exported files on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from command_line import Run
from omnireid.server.tokens import TokenFile
from server.toy_service import enrol, person, service, text_of

END = "2999-01-01T00:00:00Z"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with service(tmp_path) as client:
        for seed in range(1, 4):
            for view in range(2):
                enrol(client, seed, view, identity=f"p{seed}", camera=f"cam{view}")
        client.put("/v1/identity", params={"id": "p1"}, json={"name": "Ada"})
        yield client


def created(client: TestClient, **more: Any) -> str:
    body = {"title": "Bicycle", "reason": "Theft; Art. 6", "ends": END, **more}
    answer = client.post("/v1/cases", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def with_search(client: TestClient, case: str) -> dict[str, Any]:
    asked = {"image": text_of(person(1, 7))}
    answer = client.post("/v1/search", json={**asked, "k": 3}).json()
    # What the service may say one day is taken, what nobody knows is left out.
    answer |= {"nobody": 0.25, "others": 0.05, "people": 3, "same_from": 0.95, "measured": None, "new": {}}
    body = {"search": {"asked": asked, "answer": answer, "words": ["cam0"]}, "note": "look at her"}
    done = client.post(f"/v1/cases/{case}/entries", json=body)
    assert done.status_code == 200, done.text
    entry: dict[str, Any] = done.json()
    assert [one["identity"] for one in entry["search"]["groups"]] == [
        one["identity"] for one in answer["groups"]
    ]
    return entry


def test_a_case_over_http(client: TestClient, tmp_path: Path, omnireid: Run) -> None:
    case = created(client)
    entry = with_search(client, case)
    assert entry["search"]["groups"][0]["name"] == "Ada"
    assert entry["search"]["nobody"] == 0.25
    assert entry["proof"]["actor"] == "local"
    (asked,) = entry["search"]["query"]["pictures"]
    shown = client.get(f"/v1/cases/{case}/pictures/{asked}")
    assert shown.headers["content-type"] == "image/jpeg"
    client.post(f"/v1/cases/{case}/entries", json={"identity": "p2"})
    item = client.get("/v1/items").json()["items"][0]["id"]
    client.post(f"/v1/cases/{case}/entries", json={"items": [item]})
    note = client.post(f"/v1/cases/{case}/entries", json={"note": "two\nlines"}).json()
    assert client.delete(f"/v1/cases/{case}/entries/{note['id']}").json() == {"deleted": True}
    held = client.get(f"/v1/cases/{case}").json()
    assert [one["kind"] for one in held["entries"]] == ["search", "person", "pictures"]
    assert held["case"] == client.get("/v1/cases").json()["cases"][0]
    assert client.put(f"/v1/cases/{case}", json={"title": "Cycle"}).json()["title"] == "Cycle"
    assert client.post(f"/v1/cases/{case}/close").json()["closed"] is not None
    refused = client.post(f"/v1/cases/{case}/entries", json={"note": "late"})
    assert (refused.status_code, "closed" in refused.json()["detail"]) == (409, True)
    assert client.post(f"/v1/cases/{case}/reopen").json()["closed"] is None
    exported = client.post(f"/v1/cases/{case}/export")
    assert exported.headers["content-disposition"].startswith(f'attachment; filename="case-{case}-')
    here = client.post("/v1/cases/check", json={"file": exported.text}).json()
    assert (here["is_unchanged"], here["is_own_page"]) == (True, True)
    assert (here["exported_here"]["actor"], here["exported_here"]["gallery"]) == ("local", "doors")
    assert here["payload"]["case"]["title"] == "Cycle"
    html = {"Content-Type": "text/html"}
    with service(tmp_path / "elsewhere") as other:
        there = other.post("/v1/cases/check", content=exported.content, headers=html).json()
    assert (there["is_unchanged"], there["exported_here"]) == (True, None)
    bad = client.post("/v1/cases/check", content=b"\xff\xfe", headers=html)
    assert (bad.status_code, bad.json()["errors"][0]["field"]) == (422, "file")
    # The command line says the same, alone and beside the gallery.
    file, changed = tmp_path / "case.html", tmp_path / "changed.html"
    file.write_text(exported.text)
    changed.write_text(exported.text.replace("Theft", "Loan"))
    alone = omnireid("case", "verify", str(file))
    assert (alone.code, alone.out.splitlines()[0]) == (0, "unchanged")
    assert "only the gallery that exported it can tell" in alone.out
    beside = omnireid("case", "verify", str(file), "--gallery", str(tmp_path / "doors"))
    assert (beside.code, "by local" in beside.out) == (0, True)
    wrong = omnireid("case", "verify", str(changed), "--gallery", str(tmp_path / "doors"))
    assert (wrong.code, wrong.out.splitlines()[0]) == (1, "CHANGED since it was exported; do not rely on it")
    listed = omnireid("case", "list", "--gallery", str(tmp_path / "doors"))
    assert case in listed.out
    assert client.delete(f"/v1/cases/{case}").json() == {"deleted": True}
    assert client.get(f"/v1/cases/{case}").status_code == 404
    assert client.get("/v1/cases").json() == {"cases": []}


def test_what_cannot_be_used_is_named(client: TestClient) -> None:
    case = created(client)
    for body, field in (
        ({"title": "", "reason": "x", "ends": END}, "title"),
        ({"title": "x", "ends": END}, "reason"),
        ({"title": "x", "reason": "x", "ends": "tomorrow"}, "ends"),
        ({"title": "x", "reason": "x", "ends": "2000-01-01T00:00:00Z"}, "ends"),
    ):
        answer = client.post("/v1/cases", json=body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    for entry, status in (
        ({}, 422),
        ({"note": " "}, 422),
        ({"identity": "nobody"}, 404),
        ({"items": ["0" * 32]}, 404),
        ({"identity": "p1", "items": ["a"]}, 422),
        ({"search": {"asked": {}, "answer": {}}}, 422),
    ):
        answer = client.post(f"/v1/cases/{case}/entries", json=entry)
        assert answer.status_code == status, answer.text
    asked = {"image": text_of(person(1, 7))}
    answer = client.post("/v1/search", json=asked).json()
    made_up = {**answer, "decision": "unsure" if answer["decision"] != "unsure" else "same"}
    refused = client.post(f"/v1/cases/{case}/entries", json={"search": {"asked": asked, "answer": made_up}})
    assert refused.status_code == 409
    assert "audit log holds no such search" in refused.json()["detail"]
    assert client.post("/v1/cases/nothing/entries", json={"note": "x"}).status_code == 404


def test_readers_look_and_change_nothing(tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    read, write = tokens.create("looks", "read"), tokens.create("works", "write")
    with service(tmp_path, tokens=tokens) as client:

        def call(token: str, method: str, path: str, **options: Any) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            return client.request(method, path, headers=headers, **options).status_code

        body = {"title": "Case", "reason": "Reason", "ends": END}
        assert call(read, "POST", "/v1/cases", json=body) == 403
        assert call(write, "POST", "/v1/cases", json=body) == 200
        assert call(read, "GET", "/v1/cases") == 200
        case = "0" * 16
        for method, path in (
            ("PUT", ""), ("DELETE", ""), ("POST", "/close"), ("POST", "/reopen"), ("POST", "/entries"),
            ("DELETE", "/entries/a"), ("POST", "/export"),
        ):  # fmt: skip
            assert call(read, method, f"/v1/cases/{case}{path}", json={}) == 403, path
