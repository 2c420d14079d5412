"""The audit over the wire: filters, words, bounded reading, and files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from omnireid.gallery.audit_export import verify_export
from server.toy_service import enrol, person, post_picture, service


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with service(tmp_path / "served") as client:
        enrol(client, 1, identity="p1")
        enrol(client, 2, identity="p2")
        post_picture(client, "/v1/search", person(1), k=1)
        client.put("/v1/identity", params={"id": "p2"}, json={"name": "Bo"})
        yield client


def test_filters_and_words(client: TestClient) -> None:
    def actions(**query: str) -> list[str]:
        answer = client.get("/v1/audit", params=query)
        assert answer.status_code == 200, answer.text
        return [one["action"] for one in answer.json()["entries"]]

    assert actions() == ["enrol", "enrol", "search", "name"]
    assert actions(subject="p1") == ["enrol", "search"]
    assert actions(subject="p2") == ["enrol", "name"]
    assert actions(subject="p2", action="name") == ["name"]
    assert actions(subject="nobody") == []
    assert actions(until="2001-01-01T00:00:00Z") == []
    assert actions(since="2001-01-01T00:00:00Z", latest="true", limit="1") == ["name"]
    assert actions(actor="LOCAL") == actions()
    assert actions(actor="Eve") == []
    page = client.get("/v1/audit", params={"action": "search"}).json()
    (entry,) = page["entries"]
    assert entry["summary"].startswith("Somebody without a token searched with one picture through everybody")
    assert {"label": "Candidates asked for", "value": "1"} in entry["facts"]
    assert (page["looked"], page["next"], page["actions"]["search"]) == (4, None, "Search")
    for field, value in (("since", "yesterday"), ("subject", ""), ("limit", "0")):
        refused = client.get("/v1/audit", params={field: value})
        assert refused.status_code == 422
        assert field in refused.text


def test_one_request_reads_a_bounded_part(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnireid.gallery.audit_reading._CHUNK", 1)
    monkeypatch.setattr("omnireid.server.routes.audit.MOST_LOOKED", 2)
    first = client.get("/v1/audit", params={"action": "name"}).json()
    assert (first["entries"], first["looked"]) == ([], 2)
    rest = client.get("/v1/audit", params={"action": "name", "after": first["next"]}).json()
    assert [one["action"] for one in rest["entries"]] == ["name"]


def test_files(client: TestClient, tmp_path: Path) -> None:
    answer = client.get("/v1/audit/export", params={"subject": "p2"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert "audit.jsonl" in answer.headers["content-disposition"]
    file = tmp_path / "audit.jsonl"
    file.write_bytes(answer.content)
    found = verify_export(file)
    assert (found.problems, found.entries) == ((), 3)
    assert "p2" not in answer.text
    table = client.get("/v1/audit/export", params={"format": "csv"})
    assert table.headers["content-type"].startswith("text/csv")
    assert table.content.decode("utf-8-sig").startswith("time,who,what,")
    entries = client.get("/v1/audit").json()["entries"]
    assert [one["action"] for one in entries[-2:]] == ["export-audit"] * 2
    assert entries[-2]["detail"] == {"format": "jsonl", "conditions": ["person"]}
    assert client.get("/v1/audit/export", params={"format": "xml"}).status_code == 422
    assert client.get("/v1/audit").json()["entries"] == entries


def test_operations_of_one_person(client: TestClient) -> None:
    client.put("/v1/identity", params={"id": "p1"}, json={"name": "Al"})
    merged = client.post("/v1/identities/merge", json={"into": "p1", "identities": ["p2"]}).json()

    def told(**query: str) -> list[str]:
        return [one["summary"] for one in client.get("/v1/operations", params=query).json()["operations"]]

    assert told() == ["merged Bo into Al", "named p1 “Al”", "named p2 “Bo”"]
    assert told(identity="p2") == told()
    client.post(f"/v1/operations/{merged['id']}/undo")
    assert told(identity="p2") == ["merged Bo into Al", "named p2 “Bo”"]
