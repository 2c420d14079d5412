"""The webhook: what it is told, and that a dead or killed one, or a killed server, costs no alert."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import omnireid
from documentation import blocks
from gallery.memory_store import MemoryStore
from gallery.people import MODEL, memory_gallery, vectors
from omnireid import Gallery, Item
from omnireid.core.errors import ConfigError
from omnireid.gallery.watching import Follower, WatchList
from omnireid.server.telling import GIVE_UP_S, LONGEST_WAIT_S, Sender
from omnireid.server.watching import message
from omnireid.server.webhook import Webhook, sign

SECRET = "0123456789abcdef0123456789abcdef"


class Receiver:
    """A web server that takes messages, or answers as it is told to.

    Attributes:
        statuses: of the next answers; 200 when there is none left.
        got: (headers, body) of each message.
    """

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.got: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers), body))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/alerts?key=in-the-address"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def told(self) -> list[int]:
        return [json.loads(body)["seq"] for _, body in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver()
    yield opened
    opened.close()


def watched(store: MemoryStore | None = None) -> tuple[Gallery, WatchList]:
    gallery = memory_gallery(store)
    gallery.enrol([Item(identity="p1", key="first")], vectors(1, 1), model=MODEL)
    gallery.clock.now += 10  # type: ignore[attr-defined]
    watch_list = WatchList(gallery)
    watch_list.add("p1", reason="why-p1", ends=gallery.clock() + 1e6)
    return gallery, watch_list


def come(gallery: Gallery, watch_list: WatchList, key: str) -> str:
    gallery.name_identity("p1", "Ada")
    name = gallery.enrol([Item(identity="p1", key=key, camera="door")], vectors(2, 1), model=MODEL).ids[0]
    Follower(watch_list, gallery).step()
    return name


def sender_of(gallery: Gallery, watch_list: WatchList, url: str) -> Sender:
    webhook = Webhook(url, SECRET.encode())
    sender = Sender(webhook, watch_list, "main", message, clock=gallery.clock, draw=lambda: 1.0)
    sender.step()  # remembers where it begins
    return sender


def test_what_is_sent_can_be_checked_by_the_five_lines_of_the_docs(receiver: Receiver) -> None:
    gallery, watch_list = watched()
    come(gallery, watch_list, "before anybody asked to be told")
    sender = sender_of(gallery, watch_list, receiver.url)
    item = come(gallery, watch_list, "k1")
    sender.step()
    ((headers, body),) = receiver.got
    content = json.loads(body)
    assert (content["item"], content["identity"], content["camera"], content["why"]) == (
        item, "p1", "door", "enrolled",
    )  # fmt: skip
    assert content["id"] == headers["X-OmniReID-Delivery"]
    for word in (b"Ada", b"why-p1"):
        assert word not in body
    stamp = int(gallery.clock())
    expected = hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["X-OmniReID-Signature"] == f"t={stamp},v1={expected}"
    (block,) = [code for code in blocks("guides/gallery/webhook.md") if code.startswith("def is_genuine")]
    assert len([line for line in block.splitlines() if line.strip()]) <= 8
    spoken: dict[str, Any] = {}
    exec(block, {"hmac": hmac, "hashlib": hashlib, "time": time}, spoken)
    now = int(time.time())
    good = sign(SECRET.encode(), now, body)
    assert spoken["is_genuine"](SECRET.encode(), good, body)
    for secret, header, content_ in (
        (b"x" * 32, good, body),
        (SECRET.encode(), good, body + b" "),
        (SECRET.encode(), sign(SECRET.encode(), now - 3600, body), body),
        (SECRET.encode(), good.replace(f"t={now}", f"t={now + 1}"), body),
    ):
        assert not spoken["is_genuine"](secret, header, content_)


def test_a_dead_receiver_is_asked_again_ever_more_seldom_and_in_order(receiver: Receiver) -> None:
    gallery, watch_list = watched()
    sender = sender_of(gallery, watch_list, receiver.url)
    for key in ("k1", "k2"):
        come(gallery, watch_list, key)
    receiver.statuses = [500, 302, 401]
    waits = []
    for failures in (1, 2, 3):
        sender.step()
        state = sender.state()
        assert (state.failures, state.waiting) == (failures, 2)
        assert state.next_try is not None
        waits.append(state.next_try - gallery.clock())
        gallery.clock.now = state.next_try - 0.5  # type: ignore[attr-defined]
        sender.step()  # not yet
        assert len(receiver.got) == failures
        gallery.clock.now = state.next_try  # type: ignore[attr-defined]
    assert waits == [2, 4, 8]
    assert state.failure == "answered 401"
    assert state.oldest is not None
    gallery.clock.now -= 1e7  # type: ignore[attr-defined]  # was months ahead, and has been put right
    sender.step()
    gallery.clock.now += 1e7  # type: ignore[attr-defined]
    assert receiver.told() == [1, 1, 1, 1, 2]
    assert (sender.state().waiting, sender.state().failure) == (0, "")
    # Nobody listens at all, for days.
    receiver.close()
    come(gallery, watch_list, "k3")
    longest = 0.0
    while sender.state().waiting:
        sender.step()
        if (due := sender.state().next_try) is not None:
            longest = max(longest, due - gallery.clock())
            gallery.clock.now = due  # type: ignore[attr-defined]
    assert longest == LONGEST_WAIT_S
    assert sender.state().given_up == 1
    assert GIVE_UP_S < 7 * 86_400


def test_a_message_that_is_refused_does_not_stop_the_others(receiver: Receiver) -> None:
    gallery, watch_list = watched()
    sender = sender_of(gallery, watch_list, receiver.url)
    receiver.statuses = [422]
    for key in ("k1", "k2"):
        come(gallery, watch_list, key)
    sender.step()
    assert receiver.told() == [1, 2]
    assert (sender.state().waiting, sender.state().given_up) == (0, 1)


def test_who_was_forgotten_meanwhile_is_not_told_of(receiver: Receiver) -> None:
    gallery, watch_list = watched()
    sender = sender_of(gallery, watch_list, receiver.url)
    receiver.statuses = [500]
    items = [come(gallery, watch_list, key) for key in ("k1", "k2")]
    sender.step()
    gallery.forget(items=[items[0]])
    gallery.clock.now += 100  # type: ignore[attr-defined]
    watch_list.changed()
    sender.step()
    assert receiver.told() == [1, 2]
    gallery.forget("p1")
    watch_list.changed()
    assert sender.state().waiting == 0


SERVE = """
import sys, time
from omnireid import Gallery
from omnireid.server.watching import Watcher
from omnireid.server.webhook import Webhook
with Gallery.open(sys.argv[1]) as gallery:
    watcher = Watcher("main", gallery, [Webhook(sys.argv[2], sys.argv[3].encode())])
    watcher.start()
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
def test_what_a_killed_server_did_not_deliver_is_delivered_by_the_next(
    receiver: Receiver, tmp_path: Path
) -> None:
    folder = str(tmp_path / "gallery")
    with Gallery.open(folder) as gallery:
        gallery.enrol([Item(identity="p1", key="first")], vectors(1, 1), model=MODEL)
        WatchList(gallery).add("p1", reason="why-p1", ends=time.time() + 3600)
    receiver.statuses = [503] * 2
    source = f"{Path(omnireid.__file__).parents[1]}{os.pathsep}{Path(__file__).parents[1]}"

    def serve() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, folder, receiver.url, SECRET],
            env={**os.environ, "PYTHONPATH": source}, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def kill(process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()

    first = serve()
    try:
        with Gallery.open(folder) as gallery:
            items = [Item(identity="p1", key=f"k{n}") for n in range(3)]
            gallery.enrol(items, vectors(2, 3), model=MODEL)
            wait_for(lambda: len(receiver.got) >= 1)
    finally:
        kill(first)
    second = serve()
    try:
        wait_for(lambda: sorted(set(receiver.told())) == [1, 2, 3])
    finally:
        kill(second)
    told = receiver.told()
    assert told == sorted(told)
    deliveries = {(headers["X-OmniReID-Delivery"], json.loads(body)["seq"]) for headers, body in receiver.got}
    assert len(deliveries) == 3


def wait_for(is_so: Any) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_secret_comes_from_a_private_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    file.chmod(0o600)
    assert Webhook.of("https://example.org/x", file, {}).secret == SECRET.encode()
    made = Webhook.of("https://example.org/x?key=hidden", None, {"OMNIREID_WEBHOOK_SECRET": SECRET})
    assert made.secret == SECRET.encode()
    assert SECRET not in repr(made)
    assert "hidden" not in repr(made)
    file.chmod(0o644)
    for url, path, environment, message_ in (
        ("https://example.org", file, {}, "chmod 600"),
        ("https://example.org", None, {}, "--webhook-secret-file"),
        ("https://example.org", tmp_path / "absent", {}, "cannot be read"),
        ("https://example.org", None, {"OMNIREID_WEBHOOK_SECRET": "short"}, "16 bytes"),
        ("ftp://example.org", None, {"OMNIREID_WEBHOOK_SECRET": SECRET}, "https://"),
        ("example.org", None, {"OMNIREID_WEBHOOK_SECRET": SECRET}, "https://"),
        ("https://[::1/x", None, {"OMNIREID_WEBHOOK_SECRET": SECRET}, "https://.*IPv6"),
        ("https://host:99999/x", None, {"OMNIREID_WEBHOOK_SECRET": SECRET}, "https://.*65535"),
        ("https://me:pass@example.org", None, {"OMNIREID_WEBHOOK_SECRET": SECRET}, "no name or password"),
    ):
        with pytest.raises(ConfigError, match=message_):
            Webhook.of(url, path, environment)
