"""Pulling from a local fake of the Hub: pins, wrong hashes, missing things, no network."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from omnireid.core.errors import InputError, UnknownNameError, WeightsError
from omnireid.models import pull as pull_module
from omnireid.models.cards import HubFile
from omnireid.models.pull import pull

REPO = "someone/reid"
REVISION = "0123456789abcdef0123456789abcdef01234567"
CONTENT = b"weights " * 50_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = f"{REPO}/folder/osnet.pth"


@dataclass
class FakeHub:
    """Speaks what hf_hub_download needs: HEAD and GET of /{repo}/resolve/{revision}/{file}."""

    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    endpoint: str = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.requests.append((request.command, request.path, request.headers.get("Authorization")))
        repo, _, rest = request.path.lstrip("/").partition("/resolve/")
        revision, _, filename = rest.partition("/")
        failure = None
        if repo != REPO:
            failure = "RepoNotFound"
        elif revision != REVISION:
            failure = "RevisionNotFound"
        elif filename not in self.files:
            failure = "EntryNotFound"
        content = b"" if failure else self.files[filename]
        request.send_response(404 if failure else 200)
        if failure:
            request.send_header("X-Error-Code", failure)
        request.send_header("X-Repo-Commit", REVISION)
        request.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(content)


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    fake = FakeHub({"folder/osnet.pth": CONTENT})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fake.answer(self)

        def do_HEAD(self) -> None:
            fake.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield fake
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def nowhere() -> str:
    """An address at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def _cached_files(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if "osnet.pth" in path.name or path.parent.name == "blobs"]


def test_pull_verifies_and_then_needs_no_network(hub: FakeHub, nowhere: str, tmp_path: Path):
    path = pull(NAME, revision=REVISION, sha256=SHA256.upper(), cache_dir=tmp_path, endpoint=hub.endpoint)
    assert path.read_bytes() == CONTENT
    assert ("GET", f"/{REPO}/resolve/{REVISION}/folder/osnet.pth", None) in hub.requests
    asked = len(hub.requests)
    for endpoint, offline in ((hub.endpoint, False), (nowhere, False), (nowhere, True)):
        again = pull(
            NAME, revision=REVISION, sha256=SHA256, cache_dir=tmp_path, endpoint=endpoint, offline=offline
        )
        assert again == path
    assert len(hub.requests) == asked


def test_no_token_is_sent(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pull(NAME, revision=REVISION, sha256=SHA256, cache_dir=tmp_path, endpoint=hub.endpoint)
    assert {authorization for _, _, authorization in hub.requests} == {None}


def test_a_file_with_another_hash_is_removed(hub: FakeHub, tmp_path: Path):
    other = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(WeightsError, match=f"has SHA-256 {SHA256}, expected {other}. It was removed"):
        pull(NAME, revision=REVISION, sha256=other, cache_dir=tmp_path, endpoint=hub.endpoint)
    assert _cached_files(tmp_path) == []


def test_a_damaged_cache_is_fetched_again(hub: FakeHub, nowhere: str, tmp_path: Path):
    path = pull(NAME, revision=REVISION, sha256=SHA256, cache_dir=tmp_path, endpoint=hub.endpoint)
    path.resolve().write_bytes(CONTENT[:-1] + b"X")
    again = pull(NAME, revision=REVISION, sha256=SHA256, cache_dir=tmp_path, endpoint=hub.endpoint)
    assert again.read_bytes() == CONTENT
    again.resolve().write_bytes(b"")
    with pytest.raises(WeightsError, match="cannot fetch"):
        pull(NAME, revision=REVISION, sha256=SHA256, cache_dir=tmp_path, endpoint=nowhere)


def test_what_is_missing_is_named(hub: FakeHub, tmp_path: Path):
    pins = {"sha256": SHA256, "cache_dir": tmp_path, "endpoint": hub.endpoint}
    with pytest.raises(WeightsError, match=r"someone/reid has no file other\.pth in commit 0123"):
        pull(f"{REPO}/other.pth", revision=REVISION, **pins)
    with pytest.raises(WeightsError, match=r"someone/reid has no commit ffff"):
        pull(NAME, revision="f" * 40, **pins)
    with pytest.raises(WeightsError, match=r"nobody/reid: no such public repository"):
        pull("nobody/reid/osnet.pth", revision=REVISION, **pins)


@pytest.mark.parametrize("offline", [False, True])
def test_without_network_and_cache_the_next_step_is_named(offline: bool, nowhere: str, tmp_path: Path):
    with pytest.raises(WeightsError) as error:
        pull(NAME, revision=REVISION, sha256=SHA256, cache_dir=tmp_path, endpoint=nowhere, offline=offline)
    address = f"{nowhere}/{REPO}/resolve/{REVISION}/folder/osnet.pth"
    for part in (
        f"download {address} on another machine",
        "omnireid models convert FILE --out MODEL.safetensors",
        "--cache-dir",
    ):
        assert part in str(error.value)


def test_a_card_brings_its_own_pins(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pinned = HubFile(REPO, "folder/osnet.pth", REVISION, SHA256)
    monkeypatch.setattr(pull_module, "hub_file", lambda name: pinned)
    path = pull("osnet_x0_25_msmt17_combineall", cache_dir=tmp_path, endpoint=hub.endpoint)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "State --revision and --sha256"),
        ({"revision": REVISION}, "State --sha256"),
        ({"sha256": SHA256}, "State --revision,"),
        ({"revision": "main", "sha256": SHA256}, "a full commit hash"),
        ({"revision": REVISION[:7], "sha256": SHA256}, "a full commit hash"),
        ({"revision": REVISION, "sha256": "abc"}, "64 hexadecimal digits"),
    ],
)
def test_nothing_is_fetched_without_pins(options: dict[str, str], message: str, hub: FakeHub, tmp_path: Path):
    with pytest.raises(InputError, match=message):
        pull(NAME, cache_dir=tmp_path, endpoint=hub.endpoint, **options)
    assert hub.requests == []


def test_names_that_cannot_be_pulled(tmp_path: Path):
    with pytest.raises(UnknownNameError, match="did you mean 'osnet_x0_25_msmt17_combineall'"):
        pull("osnet_x025_msmt17_combineall", cache_dir=tmp_path)
    with pytest.raises(WeightsError, match=r"Published weights: osnet_x0_25_msmt17_combineall"):
        pull("osnet_x0_25", cache_dir=tmp_path)
    with pytest.raises(WeightsError, match=r"Download https://drive\.google\.com/.*omnireid models convert"):
        pull("osnet_x0_25_market1501", cache_dir=tmp_path)
    with pytest.raises(InputError, match=r"osnet_x0_5_msmt17_combineall: no known sha256. State --sha256"):
        pull("osnet_x0_5_msmt17_combineall", cache_dir=tmp_path)
    with pytest.raises(UnknownNameError, match=r"unknown model .some one/re id/x\.pth."):
        pull("some one/re id/x.pth", revision=REVISION, sha256=SHA256, cache_dir=tmp_path)
