"""Requests that nobody means well: every one is answered with a 4xx problem that names what is wrong."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from omnireid.server.limits import Limits
from omnireid.server.tokens import TokenFile
from server.toy_service import DIM, SHA256, enrol, person, post_picture, service, text_of

JSON = {"Content-Type": "application/json"}
JPEG = {"Content-Type": "image/jpeg"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    limits = Limits(max_bytes=400_000, max_pixels=1_000_000, max_items=4, max_k=50)
    with service(tmp_path_factory.mktemp("hostile"), limits=limits) as client:
        enrol(client, 1, identity="p1", camera="a")
        yield client


def png_of(width: int, height: int) -> bytes:
    """The header of a PNG that says it is this large, and almost no content."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def bomb() -> bytes:
    """A small file of 75 MB of pixels: fewer than Pillow itself refuses, more than this service takes."""
    stream = io.BytesIO()
    Image.new("RGB", (5_000, 5_000)).save(stream, "PNG")
    return stream.getvalue()


def image(content: bytes | str) -> dict[str, Any]:
    return {"image": content if isinstance(content, str) else text_of(content)}


SEARCHES: list[tuple[Any, int, str]] = [
    (b"", 400, "body"),
    (b"{", 400, "body"),
    (b"\xff\xfe{}", 400, "body"),
    (b'{"item": "\\ud800"}', 400, "body"),
    (b'{"k": ' + b"[" * 100_000, 400, "body"),
    (b'{"k": ' + b"9" * 5_000 + b"}", 400, "body"),
    ([], 422, "body"),
    ("text", 422, "body"),
    (None, 422, "body"),
    ({}, 422, "image"),
    ({**image(person(1)), "item": "x"}, 422, "image"),
    ({**image(person(1)), "colour": "red"}, 422, "colour"),
    ({**image(person(1)), "k": 0}, 422, "k"),
    ({**image(person(1)), "k": 51}, 422, "k"),
    ({**image(person(1)), "k": 10**30}, 422, "k"),
    ({**image(person(1)), "k": "10"}, 422, "k"),
    ({**image(person(1)), "k": True}, 422, "k"),
    ({**image(person(1)), "prior": 0}, 422, "prior"),
    ({**image(person(1)), "prior": 1e308}, 422, "prior"),
    ({**image(person(1)), "false_alarm_rate": 0.5}, 422, "false_alarm_rate"),
    ({**image(person(1)), "since": "yesterday"}, 422, "since"),
    ({**image(person(1)), "since": 5}, 422, "since"),
    ({**image(person(1)), "since": "2026-13-45T99:99:99Z"}, 422, "since"),
    ({**image(person(1)), "since": "2026-01-01T00:00:00"}, 422, "since"),
    ({**image(person(1)), "cameras": ["x" * 600]}, 422, "cameras.0"),
    ({**image(person(1)), "cameras": "a"}, 422, "cameras"),
    ({**image(person(1)), "attributes": {"a": []}}, 422, "attributes.a"),
    ({**image(person(1)), "region": {"x": 0, "y": 0, "width": 0, "height": 5}}, 422, "region.width"),
    ({**image(person(1)), "region": {"x": -500, "y": 0, "width": 5, "height": 5}}, 422, "region"),
    ({**image(person(1)), "region": {"x": 1e300, "y": 0, "width": 1e300, "height": 5}}, 422, "region"),
    (image("not base64!"), 422, "image"),
    (image(""), 422, "image"),
    (image(b"GIF89a" + b"\0" * 50), 422, "image"),
    (image(person(1, kind="GIF")), 422, "image"),
    (image(person(1, kind="TIFF")), 422, "image"),
    (image(person(1, kind="PPM")), 422, "image"),
    (image(b"%!PS-Adobe-3.0 EPSF-3.0\n" + b"\0" * 50), 422, "image"),
    (image(person(1)[:200]), 422, "image"),
    (image(b"\xff\xd8\xff" + b"\0" * 2000), 422, "image"),
    (image(png_of(60_000, 60_000)), 422, "image"),
    (image(png_of(2**31 - 1, 2**31 - 1)), 422, "image"),
    (image(png_of(100, 100)), 422, "image"),
    ({"images": []}, 422, "images"),
    ({"images": [text_of(person(1))] * 5}, 422, "images"),
    ({"images": [text_of(person(1)), "%%%"]}, 422, "images.1"),
    ({"item": "x' OR '1'='1"}, 404, ""),
    ({"embedding": [1.0] * DIM}, 422, "model_sha256"),
    ({"embedding": [1.0] * DIM, "model_sha256": "zz"}, 422, "model_sha256"),
    ({"embedding": [1.0] * 7, "model_sha256": SHA256}, 422, "embedding"),
    ({"embedding": [0.0] * DIM, "model_sha256": SHA256}, 422, "embedding"),
    ({"embedding": [1e300] * DIM, "model_sha256": SHA256}, 422, "embedding"),
    (b'{"embedding": [NaN], "model_sha256": "' + SHA256.encode() + b'"}', 422, "embedding.0"),
    (b'{"embedding": [1e999], "model_sha256": "' + SHA256.encode() + b'"}', 422, "embedding.0"),
]


@pytest.mark.parametrize(("body", "status", "field"), SEARCHES, ids=range(len(SEARCHES)))
def test_a_search_that_cannot_be_is_refused_by_name(
    client: TestClient, body: Any, status: int, field: str
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = client.post("/v1/search", content=content, headers=JSON)
    check_problem(answer, status, field)


ENROLMENTS: list[tuple[Any, int, str]] = [
    ({"items": []}, 422, "items"),
    ({"items": [{}]}, 422, "items.0.image"),
    ({"items": [image(person(1))] * 5}, 422, "items"),
    ({"items": [{**image(person(1)), "camera": "a\0b"}]}, 422, "items.0.camera"),
    ({"items": [{**image(person(1)), "camera": 5}]}, 422, "items.0.camera"),
    ({"items": [{**image(person(1)), "identity": ""}]}, 422, "items.0.identity"),
    ({"items": [{**image(person(1)), "quality": -0.1}]}, 422, "items.0.quality"),
    (
        {"items": [{**image(person(1)), "time": "2026-03-01T12:00:01Z", "end_time": "2026-03-01T12:00:00Z"}]},
        422,
        "items.0.end_time",
    ),
    ({"items": [{**image(person(1)), "quality": 2}]}, 422, "items.0.quality"),
    ({"items": [{**image(person(1)), "thumbnail": "x"}]}, 422, "items.0.thumbnail"),
    ({"items": [{**image(person(1)), "attributes": {"a": 10**40}}]}, 422, "items.0.attributes.a"),
    (
        {"items": [{**image(person(1)), "attributes": {f"a{n}": 1 for n in range(65)}}]},
        422,
        "items.0.attributes",
    ),
    ({"items": [image(person(1)), image(b"no picture")]}, 422, "items.1.image"),
    ({"items": [{"embedding": [1.0] * 9, "model_sha256": SHA256}]}, 422, "items.0.embedding"),
    ({"items": [{"embedding": [0.0] * DIM, "model_sha256": SHA256}]}, 422, "items.0.embedding"),
]


@pytest.mark.parametrize(("body", "status", "field"), ENROLMENTS, ids=range(len(ENROLMENTS)))
def test_an_enrolment_that_cannot_be_is_refused_by_name_and_adds_nothing(
    client: TestClient, body: Any, status: int, field: str
) -> None:
    before = client.get("/v1/galleries/doors").json()["items"]
    check_problem(client.post("/v1/enrol", json=body), status, field)
    assert client.get("/v1/galleries/doors").json()["items"] == before


OTHERS: list[tuple[str, str, Any, int, str]] = [
    ("POST", "/v1/embed", {"images": ["a"], "k": 1}, 422, "k"),
    ("POST", "/v1/verify", {"a": {}, "b": {}}, 422, "a.image"),
    ("POST", "/v1/verify", {"a": {"item": "x"}, "b": {"item": "y"}}, 404, ""),
    ("POST", "/v1/identities/merge", {"into": "p1", "identities": []}, 422, "identities"),
    ("POST", "/v1/identities/merge", {"into": "p1", "identities": ["nobody"]}, 404, ""),
    ("POST", "/v1/identities/merge", {"into": "p1", "identities": ["p1"]}, 422, "identities"),
    ("POST", "/v1/identities/split", {"items": ["nobody"]}, 404, ""),
    ("POST", "/v1/identities/assign", {"items": ["nobody"], "identity": "a"}, 404, ""),
    ("POST", "/v1/identities/assign", {"items": ["x"], "identity": None, "name": "a"}, 422, "name"),
    ("PUT", "/v1/identities/p1", {"name": ""}, 422, "name"),
    ("PUT", "/v1/identities/p1", {}, 422, "name"),
    ("PUT", "/v1/identities/nobody", {"name": "A"}, 404, ""),
    ("PUT", "/v1/galleries/doors/retention", {"default_s": -1}, 422, "default_s"),
    ("PUT", "/v1/galleries/doors/retention", {"cameras": {"a": 0}}, 422, "cameras.a"),
    ("POST", "/v1/operations/nothing/undo", None, 404, ""),
    ("GET", "/v1/items?after=rubbish", None, 422, "after"),
    ("GET", "/v1/items?limit=0", None, 422, "limit"),
    ("GET", "/v1/items?cameras=%00", None, 0, ""),
    ("GET", "/v1/items?cameras=%27%3B%20DROP%20TABLE%20items%3B--", None, 200, ""),
    ("GET", "/v1/items?identities=%C3%28", None, 200, ""),
    ("GET", "/v1/items?limit=5&limit=6&bla=1", None, 422, "bla"),
    ("GET", "/v1/audit?after=-1", None, 422, "after"),
    ("GET", "/v1/audit?after=99999999999999999999999", None, 0, ""),
    ("GET", "/v1/items/..%2f..%2fetc%2fpasswd", None, 404, ""),
    ("GET", "/v1/items/" + "x" * 2000, None, 422, "item_id"),
    ("GET", "/v1/identities/%00", None, 404, ""),
    ("GET", "/v1/galleries/..%2f..", None, 404, ""),
    ("GET", "/v1/galleries/%2e%2e", None, 404, ""),
    ("DELETE", "/v1/identities/nobody", None, 404, ""),
    ("PATCH", "/v1/items", None, 405, ""),
    ("GET", "/v1/embed", None, 405, ""),
    ("GET", "/v1/nothing", None, 404, ""),
    ("GET", "/assets/../../../../etc/passwd", None, 404, ""),
    ("GET", "/assets/..%2f..%2f..%2fpyproject.toml", None, 404, ""),
    ("GET", "/assets/%2e%2e/app.py", None, 404, ""),
    ("GET", "/assets//etc/passwd", None, 404, ""),
    ("GET", "/assets/..\\app.py", None, 404, ""),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "field"), OTHERS, ids=range(len(OTHERS)))
def test_other_requests_that_cannot_be_are_refused_by_name(
    client: TestClient, method: str, path: str, body: Any, status: int, field: str
) -> None:
    answer = client.request(method, path, json=body) if body is not None else client.request(method, path)
    if status == 200:
        assert answer.json()["items"] == []
    elif status == 0:  # nothing there, or refused: never a defect
        assert answer.status_code in (200, 404, 422), answer.text
    else:
        check_problem(answer, status, field)


def check_problem(answer: Any, status: int, field: str) -> None:
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert "Traceback" not in answer.text
    assert len(answer.text) < 4_000
    if field:
        assert field in [error["field"] for error in problem["errors"]], problem
        assert all(error["message"] for error in problem["errors"])


def test_a_decompression_bomb_is_refused_before_it_is_decoded(client: TestClient) -> None:
    content = bomb()
    assert len(content) < 400_000
    answer = post_picture(client, "/v1/search", content)
    check_problem(answer, 422, "image")
    assert "pixels" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content-Type": "image/svg+xml"}, 415),
        ({"Content-Type": "image/gif"}, 415),
        ({"Content-Type": "image/heic"}, 415),
        ({**JPEG, "Content-Encoding": "gzip"}, 415),
        ({**JPEG, "Content-Length": "-5"}, 400),
        ({**JPEG, "Content-Length": "1" * 30}, 413),
    ],
)
def test_bodies_of_other_kinds_are_refused(client: TestClient, headers: dict[str, str], status: int) -> None:
    check_problem(client.post("/v1/search", content=person(1), headers=headers), status, "")


def test_a_body_that_is_too_large_is_refused_whatever_its_length_says(client: TestClient) -> None:
    check_problem(client.post("/v1/embed", content=b"x" * 400_001, headers=JPEG), 413, "body")

    def without_length() -> Iterator[bytes]:
        for _ in range(10):
            yield b"x" * 100_000

    check_problem(client.post("/v1/embed", content=without_length(), headers=JPEG), 413, "body")
    assert "omnireid_held_bytes 0.0" in client.get("/metrics").text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:9"}, 403),
        ({"Origin": "http://127.0.0.1"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_web_pages_elsewhere_cannot_use_a_local_server(
    client: TestClient, headers: dict[str, str], status: int
) -> None:
    answer = client.get("/v1/info", headers=headers)
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("path", ["/", "/healthz", "/v1/info", "/v1/nothing", "/assets/app.js"])
def test_every_answer_carries_the_security_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    if path.startswith("/v1"):
        assert headers["cache-control"] == "no-store"


def test_tokens_and_their_scopes(tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    texts = {scope: tokens.create(f"the {scope}er", scope) for scope in ("read", "write", "admin")}
    with service(tmp_path, tokens=tokens, allowed_hosts=None) as client:

        def status(method: str, path: str, scope: str | None, **how: Any) -> int:
            headers = {} if scope is None else {"Authorization": f"Bearer {texts[scope]}"}
            answer = client.request(method, path, headers={**headers, **how.pop("headers", {})}, **how)
            if answer.status_code == 401:
                assert answer.headers["www-authenticate"].startswith("Bearer")
            return int(answer.status_code)

        picture = {"content": person(1), "headers": JPEG}
        for scope, search, enrolled, audited in (
            (None, 401, 401, 401),
            ("read", 200, 403, 403),
            ("write", 200, 200, 403),
            ("admin", 200, 200, 200),
        ):
            assert status("POST", "/v1/search", scope, **picture) == search
            assert status("POST", "/v1/enrol", scope, **picture) == enrolled
            assert status("GET", "/v1/audit", scope) == audited
            assert status("POST", "/v1/galleries/doors/index", scope) == (
                202 if scope == "admin" else audited
            )
        for path in ("/", "/healthz", "/metrics"):
            assert status("GET", path, None) == 200
        for wrong in (
            "Bearer",
            "Bearer x",
            f"Basic {texts['read']}",
            f"Bearer {texts['read'][:-1]}",
            "Bearer \u00e9",
        ):
            raw = {"Authorization": wrong.encode("latin-1")}
            assert client.get("/v1/info", headers=raw).status_code == 401, wrong
        actors = {one["actor"] for one in audit(client, texts["admin"])}
        assert actors == {"the reader", "the writeer", "the adminer"}
        info = client.get("/v1/info", headers={"Authorization": f"bearer {texts['write']}"}).json()
        assert (info["scopes"], info["token_required"]) == (["read", "write"], True)


def audit(client: TestClient, token: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = client.get(
        "/v1/audit", headers={"Authorization": f"Bearer {token}"}
    ).json()["entries"]
    return entries


def test_a_defect_is_answered_without_its_insides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from omnireid import Gallery

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret insides")

    with service(tmp_path) as client:
        monkeypatch.setattr(Gallery, "items", broken)
        answer = client.get("/v1/items")
        check_problem(answer, 500, "")
        assert "secret" not in answer.text
        assert "omnireid_errors_total 1.0" in client.get("/metrics").text


def test_a_full_disk_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from omnireid import Gallery
    from omnireid.core.errors import DiskFullError

    def full(*_: Any, **__: Any) -> None:
        raise DiskFullError("cannot write: the disk is full; free some space")

    with service(tmp_path) as client:
        monkeypatch.setattr(Gallery, "enrol", full)
        answer = post_picture(client, "/v1/enrol", person(1))
        check_problem(answer, 507, "")
        assert answer.json()["detail"] == "cannot write: the disk is full; free some space"


def test_a_store_that_is_away_is_asked_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from omnireid import Gallery
    from omnireid.core.errors import StorageError
    from omnireid.gallery.errors import GalleryAwayError, StoreServerError

    for error in (
        StoreServerError("http://milvus:19530/site: cannot search: no Milvus answers; start it"),
        GalleryAwayError("the gallery cannot be read: its folder is not there"),
        StorageError("cannot read the gallery: input/output error"),
    ):

        def away(*_: Any, raised: Exception = error, **__: Any) -> None:
            raise raised

        with service(tmp_path) as client:
            monkeypatch.setattr(Gallery, "items", away)
            answer = client.get("/v1/items")
            check_problem(answer, 503, "")
            assert int(answer.headers["retry-after"]) > 0
            assert answer.json()["detail"] == str(error)
