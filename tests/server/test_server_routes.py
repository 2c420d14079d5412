"""Every route, through the application, against what the gallery and the model say by themselves."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from omnireid import Embedder, Gallery
from omnireid.core.errors import InputError
from omnireid.core.images import load_crop
from omnireid.server.app import Shortcut, create_app
from omnireid.server.guard import Guard
from server.toy_service import (
    DIM,
    MODEL,
    SHA256,
    URL,
    ToyBackend,
    enrol,
    person,
    post_picture,
    service,
    text_of,
)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with service(tmp_path) as client:
        yield client


def embedding_of(content: bytes) -> np.ndarray:
    """What the model gives by itself."""
    return Embedder(ToyBackend()).embed([load_crop(content, ToyBackend.card.input)])[0]


def test_info_says_what_the_service_is(client: TestClient) -> None:
    info = client.get("/v1/info").json()
    assert info["model"] == {
        "name": "toy",
        "sha256": SHA256,
        "height": 64,
        "width": 32,
        "embedding_size": DIM,
    }
    assert info["galleries"] == ["doors", "yard"]
    assert info["calibrated"] is True
    # 1e-6 cannot be measured with so few people.
    assert info["false_alarm_rates"] == [0.1, 0.01]
    assert info["scopes"] == ["read", "write", "admin"]
    assert info["token_required"] is False


def test_embeddings_are_those_of_the_model(client: TestClient) -> None:
    contents = [person(1), person(2, kind="PNG"), person(3, size=(200, 77))]
    expected = np.stack([embedding_of(content) for content in contents])
    answer = client.post("/v1/embed", json={"images": [text_of(content) for content in contents]}).json()
    np.testing.assert_allclose(answer["embeddings"], expected, atol=1e-6)
    alone = post_picture(client, "/v1/embed", contents[0]).json()
    np.testing.assert_allclose(alone["embeddings"], expected[:1], atol=1e-6)
    assert alone["model"] == {"name": "toy", "sha256": SHA256}
    np.testing.assert_allclose(np.linalg.norm(answer["embeddings"], axis=1), 1, atol=1e-6)


EMBED_REQUESTS: list[dict[str, Any]] = [
    {"content": person(1), "headers": {"Content-Type": "image/jpeg"}},
    {"json": {"images": [text_of(person(1)), text_of(person(2))]}},
    {"json": {"images": []}},
    {"json": {"images": ["?"]}},
    {"json": {"pictures": []}},
    {"content": b"{", "headers": {"Content-Type": "application/json"}},
    {"content": b"no picture", "headers": {"Content-Type": "image/png"}},
    {"content": person(1), "headers": {"Content-Type": "text/plain"}},
    {"content": b""},
]


@pytest.mark.parametrize("request_", EMBED_REQUESTS)
def test_the_shortcut_answers_as_the_router_does(
    client: TestClient, request_: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client.headers["X-Request-ID"] = "the-same"
    short = client.post("/v1/embed", **request_)
    app: Any = client.app
    # Everything that is behind the guard, without the shortcut.
    guard = app.middleware_stack.app
    while not isinstance(guard, Guard):
        guard = guard.app
    assert isinstance(guard.app, Shortcut)
    monkeypatch.setattr(guard, "app", guard.app.app)
    routed = client.post("/v1/embed", **request_)
    assert (short.status_code, short.headers) == (routed.status_code, routed.headers)
    assert short.content == routed.content
    counted = client.get("/metrics").text
    assert f'omnireid_requests_total{{route="/v1/embed",status="{short.status_code}"}} 2.0' in counted


def test_what_is_enrolled_is_found_with_its_place_and_time(client: TestClient) -> None:
    for seed in range(4):
        enrol(
            client, seed, camera=f"cam{seed % 2}", time=f"2026-03-01T12:00:0{seed}+01:00", identity=f"p{seed}"
        )
    answer = post_picture(client, "/v1/search", person(2, view=1), k=3)
    found = answer.json()
    best = found["candidates"][0]
    assert best["item"]["identity"] == "p2"
    assert best["item"]["camera"] == "cam0"
    when = datetime.fromisoformat(best["item"]["time"].replace("Z", "+00:00"))
    assert when == datetime(2026, 3, 1, 11, 0, 2, tzinfo=timezone.utc)
    stored = load_thumbnail_embedding(client, best["item"]["id"])
    assert best["score"] == pytest.approx(float(stored @ embedding_of(person(2, view=1))), abs=0.01)
    assert (best["decision"], found["decision"]) == ("same", "same")
    assert found["groups"][0]["identity"] == "p2"
    assert len(found["candidates"]) == 3
    assert found["is_exact"] is True


def load_thumbnail_embedding(client: TestClient, item: str) -> np.ndarray:
    return embedding_of(client.get(f"/v1/items/{item}/thumbnail").content)


def test_filters_leave_out_what_does_not_meet_them(client: TestClient) -> None:
    for seed in range(4):
        enrol(client, seed, camera=f"cam{seed % 2}", time=f"2026-03-01T12:00:0{seed}Z", identity=f"p{seed}")

    def cameras(**query: object) -> list[str]:
        found = post_picture(client, "/v1/search", person(0), group=False, **query).json()
        return sorted(one["item"]["identity"] for one in found["candidates"])

    assert cameras(cameras="cam1") == ["p1", "p3"]
    assert cameras(since="2026-03-01T12:00:01Z", until="2026-03-01T12:00:03Z") == ["p1", "p2"]
    assert cameras(identities=["p0", "p3"]) == ["p0", "p3"]
    body = {"image": text_of(person(0)), "cameras": ["cam0"], "group": False}
    assert len(client.post("/v1/search", json=body).json()["candidates"]) == 2
    assert cameras(cameras="' OR 1=1 --") == []
    unknown = enrol(client, 7, camera="cam0")["id"]
    for has, expected in ((False, [unknown]), (True, [])):
        body = {"image": text_of(person(7)), "cameras": ["cam0"], "has_identity": has, "k": 1, "group": False}
        found = client.post("/v1/search", json=body).json()["candidates"]
        assert [one["item"]["id"] for one in found if one["item"]["identity"] is None] == expected
        picture = post_picture(client, "/v1/search", person(7), group=False, has_identity=has).json()
        assert {one["item"]["identity"] is not None for one in picture["candidates"]} == {has}


def test_enrolling_again_changes_nothing_and_says_so(client: TestClient) -> None:
    first = enrol(client, 1, camera="a", identity="p1")
    again = enrol(client, 1, camera="a", identity="somebody else")
    assert (first["is_new"], again["is_new"]) == (True, False)
    assert again["id"] == first["id"]
    assert again["identity"] == "p1"
    assert client.get("/v1/galleries/doors").json()["items"] == 1


def test_galleries_are_apart(client: TestClient) -> None:
    enrol(client, 1)
    enrol(client, 2, gallery="yard")
    enrol(client, 3, gallery="yard")
    assert [one["items"] for one in client.get("/v1/galleries").json()["galleries"]] == [1, 2]
    assert client.get("/v1/items", params={"gallery": "nowhere"}).status_code == 404


def test_pictures_embeddings_and_attributes_in_one_request(client: TestClient, tmp_path: Path) -> None:
    row = np.random.default_rng(0).standard_normal(DIM).tolist()
    items = [
        {"image": text_of(person(1)), "attributes": {"bag": True, "floor": 2, "note": "x"}, "quality": 0.5},
        {"embedding": row, "model_sha256": SHA256, "camera": "b"},
        {"image": text_of(person(2)), "store_thumbnail": False},
    ]
    done = client.post("/v1/enrol", json={"items": items})
    assert done.status_code == 200, done.text
    ids = [one["id"] for one in done.json()["items"]]
    kept = [client.get(f"/v1/items/{name}").json() for name in ids]
    assert [one["has_thumbnail"] for one in kept] == [True, False, False]
    assert kept[0]["attributes"] == {"bag": True, "floor": 2, "note": "x"}
    found = client.post("/v1/search", json={"embedding": row, "model_sha256": SHA256, "k": 1}).json()
    assert found["candidates"][0]["item"]["id"] == ids[1]
    assert found["candidates"][0]["score"] == pytest.approx(1, abs=1e-5)
    with_bag = {"image": text_of(person(5)), "attributes": {"bag": True}}
    assert [
        one["item"]["id"] for one in client.post("/v1/search", json=with_bag).json()["candidates"]
    ] == ids[:1]


def test_a_region_is_the_part_that_is_meant(client: TestClient) -> None:
    scene = Image.new("RGB", (300, 200), (120, 120, 120))
    scene.paste(Image.open(io.BytesIO(person(4, kind="PNG"))), (100, 50))
    stream = io.BytesIO()
    scene.save(stream, "PNG")
    region = {"x": 100, "y": 50, "width": 48, "height": 96}
    enrol(client, 4, identity="p4")
    body = {"image": text_of(stream.getvalue()), "region": region}
    found = client.post("/v1/search", json=body).json()
    assert found["candidates"][0]["score"] > 0.99
    whole = client.post("/v1/search", json={"image": body["image"]}).json()
    assert whole["candidates"][0]["score"] < 0.9
    done = client.post("/v1/enrol", json={"items": [body]}).json()["items"][0]
    assert client.get(f"/v1/items/{done['id']}").json()["box"] == {
        name: float(n) for name, n in region.items()
    }
    outside = {**body, "region": {"x": 400, "y": 0, "width": 10, "height": 10}}
    refused = client.post("/v1/search", json=outside)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "region"


def test_a_tracklet_is_searched_as_one(client: TestClient) -> None:
    for view in range(3):
        enrol(client, 1, view, tracklet="t1", identity="p1")
        enrol(client, 2, view, tracklet="t2", identity="p2")
    images = [text_of(person(2, view)) for view in (7, 8)]
    found = client.post("/v1/search", json={"images": images}).json()
    assert [one["item"]["tracklet"] for one in found["candidates"]] == ["t2", "t1"]


def test_an_item_that_is_searched_with_is_not_its_own_answer(client: TestClient) -> None:
    first = enrol(client, 1, 0, identity="p1")["id"]
    second = enrol(client, 1, 1, identity="p1")["id"]
    enrol(client, 2, identity="p2")
    found = client.post("/v1/search", json={"item": first, "k": 2}).json()
    assert found["candidates"][0]["item"]["id"] == second
    assert len(found["candidates"]) == 2
    shown = {one["item"]["id"] for group in found["groups"] for one in group["candidates"]}
    assert first not in shown
    assert found["decision"] == "same"
    assert client.post("/v1/search", json={"item": "nobody"}).status_code == 404


def test_assigning_gives_known_and_new_identities(client: TestClient) -> None:
    first = enrol(client, 1, 0, assign=True)
    again = enrol(client, 1, 1, assign=True)
    other = enrol(client, 2, 0, assign=True)
    assert (first["decision"], again["decision"], other["decision"]) == ("new", "same", "new")
    assert first["identity"] == again["identity"]
    assert other["identity"] not in (None, first["identity"])
    # Whom it joined, how likely that is, and what takes it back.
    client.put("/v1/identity", params={"id": first["identity"]}, json={"name": "Ada"})
    third = enrol(client, 1, 2, assign=True)
    assert (third["identity"], third["name"]) == (first["identity"], "Ada")
    assert 0.5 < third["probability"] < 1
    assert client.get("/v1/operations").json()["operations"][0]["id"] == third["operation"]
    client.post(f"/v1/operations/{third['operation']}/undo").raise_for_status()
    left = client.get(f"/v1/items/{third['id']}").json()
    assert (left["identity"], left["id"]) == (None, third["id"])
    # Two pictures of one new person in one request are one person.
    items = [{"image": text_of(person(3, view))} for view in range(2)]
    done = client.post("/v1/enrol", json={"items": items, "assign": True}).json()["items"]
    assert done[0]["identity"] == done[1]["identity"]


def test_without_a_calibration_there_are_scores_only(tmp_path: Path) -> None:
    with service(tmp_path, calibrated=False) as client:
        enrol(client, 1)
        found = post_picture(client, "/v1/search", person(1)).json()
        assert found["calibrated"] is False
        assert found["decision"] is None
        assert found["candidates"][0]["probability"] is None
        assert "calibrat" in found["note"]
        refused = post_picture(client, "/v1/enrol", person(2), assign=True)
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == "assign"


def test_two_pictures_are_compared(client: TestClient) -> None:
    body = {"a": {"image": text_of(person(1))}, "b": {"image": text_of(person(1, 1))}, "activations": True}
    same = client.post("/v1/verify", json=body).json()
    expected = float(embedding_of(person(1)) @ embedding_of(person(1, 1)))
    assert same["score"] == pytest.approx(expected, abs=1e-5)
    assert same["decision"] == "same"
    for side in ("a", "b"):
        png = Image.open(io.BytesIO(base64.b64decode(same["activations"][side])))
        assert png.size == (32, 64)
    item = enrol(client, 2)["id"]
    other = client.post("/v1/verify", json={"a": {"item": item}, "b": {"image": text_of(person(1))}}).json()
    assert other["decision"] == "new"
    assert other["activations"] is None


def test_people_are_named_merged_split_and_undone(client: TestClient) -> None:
    ids = [enrol(client, seed, identity=f"p{seed}", camera=f"cam{seed}")["id"] for seed in range(3)]
    assert client.put("/v1/identities/p0", json={"name": "Ada"}).json()["kind"] == "name"
    merged = client.post("/v1/identities/merge", json={"into": "p0", "identities": ["p1"]}).json()
    person_0 = client.get("/v1/identities/p1").json()
    assert (person_0["id"], person_0["name"], person_0["items"]) == ("p0", "Ada", 2)
    assert person_0["cameras"] == ["cam0", "cam1"]
    assert client.get("/v1/items/" + ids[1]).json()["name"] == "Ada"
    undone = client.post(f"/v1/operations/{merged['id']}/undo").json()
    assert undone["undone"] is True
    assert client.get("/v1/identities/p1").json()["name"] is None
    assert client.post(f"/v1/operations/{merged['id']}/undo").status_code == 409
    split = client.post("/v1/identities/split", json={"items": [ids[2]], "name": "Bo"}).json()
    assert client.get(f"/v1/items/{ids[2]}").json()["identity"] == split["identity"]
    assigned = client.post("/v1/identities/assign", json={"items": [ids[2]], "identity": None}).json()
    assert client.get(f"/v1/items/{ids[2]}").json()["identity"] is None
    kinds = [one["kind"] for one in client.get("/v1/operations").json()["operations"]]
    assert kinds == ["assign", "split", "merge", "name"]
    assert assigned["actor"] == "local"
    names = [one["name"] for one in client.get("/v1/identities", params={"text": "ad"}).json()["identities"]]
    assert names == ["Ada"]


def test_a_timeline_goes_by_camera(client: TestClient) -> None:
    for minute in (0, 1, 30):
        enrol(client, 1, minute, identity="p1", camera="hall", time=f"2026-03-01T12:{minute:02}:00Z")
    enrol(client, 1, 99, identity="p1", camera="door", time="2026-03-01T13:00:00Z")
    timeline = client.get("/v1/identities/p1/timeline").json()
    assert [one["camera"] for one in timeline["cameras"]] == ["door", "hall"]
    assert sum(len(one["items"]) for one in timeline["cameras"][1]["sightings"]) == 3


def test_pages_of_items_join_without_gaps(client: TestClient) -> None:
    for view in range(7):
        enrol(client, 1, view, time=f"2026-03-01T12:00:0{view // 2}Z")
    seen: list[str] = []
    after = None
    for _ in range(10):
        query = {"limit": 3} if after is None else {"limit": 3, "after": after}
        page = client.get("/v1/items", params=query).json()
        seen += [one["id"] for one in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert len(seen) == len(set(seen)) == 7


def test_forgotten_people_are_gone(client: TestClient) -> None:
    for view in range(2):
        enrol(client, 1, view, identity="p1")
    item = enrol(client, 2)["id"]
    assert client.delete("/v1/identities/p1").json() == {"forgotten": 2}
    assert client.get("/v1/identities/p1").status_code == 404
    assert client.delete(f"/v1/items/{item}").json() == {"forgotten": 1}
    assert client.delete(f"/v1/items/{item}").status_code == 404
    assert client.get("/v1/galleries/doors").json()["items"] == 0


def test_retention_is_set_and_run(client: TestClient) -> None:
    enrol(client, 1, time="2020-01-01T00:00:00Z", camera="old")
    enrol(client, 2, time="2020-01-01T00:00:00Z", camera="kept")
    wanted = {"default_s": 3600.0, "cameras": {"kept": None}}
    assert client.put("/v1/galleries/doors/retention", json=wanted).json() == wanted
    assert client.post("/v1/galleries/doors/retention/run").json() == {"forgotten": 1}
    assert [one["camera"] for one in client.get("/v1/items").json()["items"]] == ["kept"]
    assert client.get("/v1/galleries/doors").json()["retention"] == wanted


def test_the_audit_names_nobody(client: TestClient) -> None:
    enrol(client, 1, identity="somebody")
    post_picture(client, "/v1/search", person(1))
    client.delete("/v1/identities/somebody")
    answer = client.get("/v1/audit")
    assert [one["action"] for one in answer.json()["entries"]] == ["enrol", "search", "forget"]
    assert "somebody" not in answer.text
    page = client.get("/v1/audit", params={"limit": 2}).json()
    rest = client.get("/v1/audit", params={"after": page["next"]}).json()
    assert [one["action"] for one in rest["entries"]] == ["forget"]


def test_thumbnails_are_made_by_us(client: TestClient) -> None:
    """What a picture carries besides its pixels stays out, and a large one becomes small."""
    big = Image.fromarray(np.random.default_rng(0).integers(0, 256, (1500, 1000, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    stream = io.BytesIO()
    big.save(stream, "JPEG", quality=95, exif=exif)
    content = stream.getvalue()
    assert b"secret place" in content
    item = post_picture(client, "/v1/enrol", content).json()["items"][0]["id"]
    answer = client.get(f"/v1/items/{item}/thumbnail")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "no-store"
    assert b"secret place" not in answer.content
    assert len(answer.content) <= 48_000
    assert Image.open(io.BytesIO(answer.content)).size[1] >= 100


def test_metrics_count_requests_and_batches(client: TestClient) -> None:
    client.post("/v1/embed", json={"images": [text_of(person(n)) for n in range(5)]})
    client.get("/v1/items/nobody")
    text = client.get("/metrics").text
    assert 'omnireid_requests_total{route="/v1/embed",status="200"} 1.0' in text
    assert 'omnireid_requests_total{route="/v1/items/{item_id}",status="404"} 1.0' in text
    assert "omnireid_batch_pictures_sum 5.0" in text
    assert "nobody" not in text


def test_an_index_is_built_when_asked_for(client: TestClient) -> None:
    enrol(client, 1)
    assert client.post("/v1/galleries/doors/index").status_code == 202


def test_embeddings_of_another_model_are_refused(client: TestClient) -> None:
    row = np.ones(DIM).tolist()
    for path, body in (
        ("/v1/search", {"embedding": row, "model_sha256": "cd" * 32}),
        ("/v1/enrol", {"items": [{"embedding": row, "model_sha256": "cd" * 32}]}),
    ):
        refused = client.post(path, json=body)
        assert refused.status_code == 409, path
        assert "model_sha256" in refused.json()["errors"][0]["field"]


def test_a_gallery_of_another_model_refuses_searches(tmp_path: Path) -> None:
    from omnireid import Item, ModelRef

    with Gallery.open(str(tmp_path / "doors")) as gallery:
        gallery.enrol([Item()], np.ones((1, 8)), model=ModelRef("older", "ef" * 32, 8))
    with service(tmp_path) as client:
        refused = post_picture(client, "/v1/search", person(1))
        assert refused.status_code == 409
        assert "move" in refused.json()["detail"]
    assert MODEL.dim == DIM


IDS = [
    "team/ann",
    "a//b",
    "/ann",
    ".",
    "..",
    "x/timeline",
    "merge",
    "a?b#c",
    "50%2F",
    "张伟",
    "a+b&gallery=yard",
]


@pytest.mark.parametrize("identity", IDS)
def test_any_id_is_reached_in_the_query(client: TestClient, identity: str) -> None:
    enrol(client, 1, identity=identity, camera="a")
    asked = {"id": identity}
    assert client.get("/v1/identity", params=asked).json()["id"] == identity
    assert client.put("/v1/identity", params=asked, json={"name": "Ann"}).json()["identity"] == identity
    timeline = client.get("/v1/identity/timeline", params=asked).json()
    assert (timeline["name"], timeline["cameras"][0]["camera"]) == ("Ann", "a")
    assert client.delete("/v1/identity", params=asked).json() == {"forgotten": 1}
    assert client.get("/v1/identity", params=asked).status_code == 404


@pytest.mark.parametrize("path", ["team%2Fann", "team/ann", "Ann%20Smith", "%E5%BC%A0%E4%BC%9F", "merge"])
def test_plain_ids_are_reached_in_the_path_too(client: TestClient, path: str) -> None:
    identity = unquote(path)
    enrol(client, 1, identity=identity, camera="a")
    assert client.get(f"/v1/identities/{path}").json()["id"] == identity
    assert client.put(f"/v1/identities/{path}", json={"name": "Ann"}).json()["identity"] == identity
    assert client.get(f"/v1/identities/{path}/timeline").json()["name"] == "Ann"
    assert client.delete(f"/v1/identities/{path}").json() == {"forgotten": 1}
    answer = client.get(f"/v1/identities/{path}")
    assert answer.status_code == 404
    assert "not in this gallery" in answer.json()["detail"]


def test_head_is_get_without_the_body(client: TestClient) -> None:
    item = enrol(client, 1, identity="p1")["id"]
    client.headers["X-Request-ID"] = "the-same"
    for path in (
        "/",
        "/assets/app.js",
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/v1/info",
        "/v1/items",
        f"/v1/items/{item}",
        f"/v1/items/{item}/thumbnail",
        "/v1/identity?id=p1",
        "/v1/items/nothing",
    ):
        whole, head = client.get(path), client.head(path)
        assert head.status_code == whole.status_code, path
        assert head.content == b""
        assert dict(head.headers) == dict(whole.headers), path
        assert int(head.headers["content-length"]) == len(whole.content)
    assert int(client.head("/metrics").headers["content-length"]) > 0
    refused = client.head("/v1/search")
    assert (refused.status_code, refused.headers["allow"], refused.content) == (405, "POST", b"")
    assert client.post("/healthz").headers["allow"] == "GET, HEAD"


def test_a_slash_too_many_at_an_end_is_no_other_address(client: TestClient) -> None:
    for path in ("/healthz/", "//healthz", "/v1/items/", "//v1/items", "/v1/info/"):
        assert client.get(f"{URL}{path}", follow_redirects=False).status_code == 200, path
    assert post_picture(client, "/v1/embed/", person(1)).status_code == 200
    nothing = client.get("/v1/nothing")
    assert nothing.status_code == 404
    assert "/v1/nothing" in nothing.json()["detail"]


BASE64 = {
    "line breaks": lambda content: base64.encodebytes(content).decode(),
    "line breaks of mail": lambda content: text_of(content).replace("A", "A\r\n "),
    "a data URI": lambda content: f"data:image/jpeg;base64,{text_of(content)}",
    "a data URI in capitals": lambda content: f"DATA:image/jpeg;charset=x;BASE64,{text_of(content)}",
    "no padding": lambda content: text_of(content).rstrip("="),
    "the alphabet of URLs": lambda content: base64.urlsafe_b64encode(content).decode(),
}


@pytest.mark.parametrize("form", BASE64)
@pytest.mark.parametrize("view", range(3))
def test_base64_is_read_as_it_is_written_elsewhere(client: TestClient, form: str, view: int) -> None:
    content = person(1, view) + b"\0" * view  # of every length modulo 3
    answer = client.post("/v1/embed", json={"images": [BASE64[form](content)]})
    assert answer.status_code == 200, answer.text
    np.testing.assert_allclose(answer.json()["embeddings"][0], embedding_of(content), atol=1e-6)


@pytest.mark.parametrize("text", ["data:image/jpeg,abc", "data:", "data:;base64", "%%%", "a", "ab=c", "ä"])
def test_what_is_no_base64_is_still_refused(client: TestClient, text: str) -> None:
    answer = client.post("/v1/embed", json={"images": [text]})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "images.0"


@pytest.mark.parametrize("path", ["/v1/embed", "/v1/search", "/v1/enrol"])
def test_pictures_come_under_other_names_of_their_types_or_none(client: TestClient, path: str) -> None:
    for kind in (
        "image/jpg",
        "image/JPEG; q=1",
        "IMAGE/PNG",
        "image/pjpeg",
        "application/octet-stream",
        "",
        None,
    ):
        headers = {} if kind is None else {"Content-Type": kind}
        answer = client.post(path, content=person(1), headers=headers)
        assert answer.status_code == 200, (kind, answer.text)
    for kind, content in (
        ("application/octet-stream", b"no picture"),
        (None, b"no picture"),
        ("", b'{"images": []}'),
        ("text/plain", person(1)),
        ("image/heic", person(1)),
    ):
        headers = {} if kind is None else {"Content-Type": kind}
        answer = client.post(path, content=content, headers=headers)
        assert answer.status_code == 415, kind
        assert f"got {kind or 'none'}" in answer.json()["detail"]


def test_json_comes_with_parameters_in_capitals_and_with_the_mark_of_utf8(client: TestClient) -> None:
    body = json.dumps({"images": [text_of(person(1))]}).encode()
    for kind in (
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/vnd.api+json",
        "text/json",
    ):
        for content in (body, b"\xef\xbb\xbf" + body):
            answer = client.post("/v1/embed", content=content, headers={"Content-Type": kind})
            assert answer.status_code == 200, (kind, answer.text)
    broken = client.post(
        "/v1/embed", content=b'{"images": ["ab\ncd"]}', headers={"Content-Type": "application/json"}
    )
    assert broken.status_code == 400
    assert "base64 -w0" in broken.json()["detail"]


def test_a_body_in_chunks_is_a_body(client: TestClient) -> None:
    content = person(1)
    chunks = (content[start : start + 100] for start in range(0, len(content), 100))
    answer = client.post("/v1/embed", content=chunks, headers={"Content-Type": "image/jpeg"})
    np.testing.assert_allclose(answer.json()["embeddings"][0], embedding_of(content), atol=1e-6)


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-01T12:00:00+01:00",
        "2026-03-01T12:00:00 01:00",
        "2026-03-01t12:00:00+0100",
        "2026-03-01 11:00:00Z",
    ],
)
def test_times_are_taken_as_they_come_through_a_query(client: TestClient, written: str) -> None:
    answer = client.post(
        f"/v1/enrol?time={written}", content=person(1), headers={"Content-Type": "image/jpeg"}
    )
    assert answer.status_code == 200, answer.text
    assert client.get("/v1/items").json()["items"][0]["time"] == "2026-03-01T11:00:00Z"
    assert client.get(f"/v1/items?since={written}").json()["items"]
    assert not client.get(f"/v1/items?until={written}").json()["items"]


def test_errors_are_in_our_words(client: TestClient) -> None:
    for answer in (
        client.get("/v1/items?since=yesterday"),
        client.post("/v1/search", json={"image": "", "since": "2026-13-01T00:00:00Z"}),
        client.post("/v1/enrol", json={"items": [{"image": "", "camera": " a"}]}),
    ):
        assert answer.status_code == 422
        assert "alue error" not in answer.text
    assert answer.json()["errors"][0] == {
        "field": "items.0.camera",
        "message": "begins or ends with white space, which nobody sees; leave it out",
    }


@pytest.mark.parametrize("written", ["%E9", "a%00", "%E2%80%AEann", "%20ann", "ann%20", "e%CC%81"])
def test_an_id_that_would_not_be_reached_is_refused_before_its_picture_is_embedded(
    client: TestClient, written: str
) -> None:
    answer = client.post(
        f"/v1/enrol?identity={written}", content=b"no picture", headers={"Content-Type": "image/png"}
    )
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == "identity"
    assert client.get("/v1/items").json()["items"] == []


def test_the_page_is_not_sent_again_to_who_has_it(client: TestClient) -> None:
    tag = client.get("/assets/app.js").headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}'):
        assert client.get("/assets/app.js", headers={"If-None-Match": known}).status_code == 304


def test_no_score_is_above_1(client: TestClient) -> None:
    for seed in range(8):
        enrol(client, seed)
        found = post_picture(client, "/v1/search", person(seed)).json()
        assert 0.999 < found["candidates"][0]["score"] <= 1
        side = {"image": text_of(person(seed))}
        assert 0.999 < client.post("/v1/verify", json={"a": side, "b": side}).json()["score"] <= 1


@pytest.mark.parametrize("name", [".", "..", "a/b", "", " a", "a\nb"])
def test_galleries_have_names_that_addresses_carry(tmp_path: Path, name: str) -> None:
    with Gallery.open(str(tmp_path)) as gallery, pytest.raises(InputError, match="gallery"):
        create_app(Embedder(ToyBackend()), {name: gallery})


def test_a_gallery_that_has_gone_is_said_and_comes_back(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "doors", tmp_path / "elsewhere"
    with service(tmp_path) as client:
        deadline = time.monotonic() + 30
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() < deadline
        enrol(client, 1, identity="p1")
        folder.rename(elsewhere)
        for answer in (
            post_picture(client, "/v1/search", person(1)),
            post_picture(client, "/v1/enrol", person(2)),
            client.get("/v1/items"),
            client.get("/v1/galleries/doors"),
            client.get("/v1/audit"),
            client.delete("/v1/identity?id=p1"),
            client.put("/v1/galleries/doors/retention", json={"default_s": 60.0}),
        ):
            assert answer.status_code == 503, answer.text
            assert answer.json()["detail"] == "the gallery cannot be read: its folder is not there"
            assert int(answer.headers["retry-after"]) > 0
        assert not folder.exists()
        assert client.get("/v1/items?gallery=yard").status_code == 200
        away = client.get("/readyz")
        assert (away.status_code, away.json()["status"]) == (503, "away")
        assert away.json()["reason"] == "gallery doors: the gallery cannot be read: its folder is not there"
        elsewhere.rename(folder)
        assert client.get("/readyz").json() == {"status": "ready"}
        assert (
            post_picture(client, "/v1/search", person(1)).json()["candidates"][0]["item"]["identity"] == "p1"
        )
        assert enrol(client, 2)["is_new"]


def test_not_this_person_over_the_wire(client: TestClient) -> None:
    first = enrol(client, 3, identity="ada")
    question = {"image": text_of(person(3, 1)), "gallery": "doors"}
    asked = {"identity": "ada", "image": text_of(person(3, 1))}
    before = client.post("/v1/search", json={"image": question["image"]}).json()
    answer = client.post("/v1/reject", json=asked)
    assert answer.status_code == 200, answer.text
    after = client.post("/v1/search", json={"image": question["image"]}).json()
    assert after["nobody"] > before["nobody"]
    assert client.get("/v1/info").json()["features"] == ["reject"]
    assert client.post("/v1/reject", json={"identity": "ada"}).status_code == 422
    assert client.post("/v1/reject", json={"identity": "zoe", "item": first["id"]}).status_code == 404
    name = answer.json()["id"]
    assert client.delete("/v1/reject", params={"id": name}).status_code == 204
    assert client.delete("/v1/reject", params={"id": name}).status_code == 404
    again = client.post("/v1/search", json={"image": question["image"]}).json()
    assert again["nobody"] == pytest.approx(before["nobody"])
