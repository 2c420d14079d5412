"""A real server process: slow clients, signals, kill -9, a full disk, and two servers on one gallery."""

from __future__ import annotations

import itertools
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from omnireid import Gallery
from omnireid.core.errors import InputError
from omnireid.server.client import Client, EnrolItem, ServerError, picture_base64
from server.live_server import Live, live_server
from server.toy_service import person

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of POSIX")


HEAD = b"POST /v1/embed HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, model_file: Path) -> Iterator[Live]:
    with live_server(tmp_path_factory.mktemp("live"), model_file) as live:
        yield live


def item(seed: int, **fields: str) -> EnrolItem:
    return EnrolItem(image=picture_base64(person(seed)), **fields)


def test_the_client_speaks_of_everything(live: Live, tmp_path: Path) -> None:
    picture = tmp_path / "somebody.jpg"
    picture.write_bytes(person(1))
    with Client(live.url) as client:
        info = client.info()
        assert (info.model.height, info.model.width) == (64, 32)
        assert client.embed([picture, person(2)]).shape == (2, 512)
        done = client.enrol(
            [
                item(seed, camera=f"cam{seed % 2}", identity=f"p{seed}", time=f"2026-01-01T00:00:0{seed}Z")
                for seed in range(5)
            ]
        )
        ids = [one.id for one in done.items]
        found = client.search(picture, k=2, cameras=["cam1"], since=1767225600.0)
        assert found.candidates[0].item.id == ids[1]
        assert found.candidates[0].item.time == 1767225601.0
        assert client.search(item=ids[1], k=1).candidates[0].item.id != ids[1]
        assert client.search(pictures=[picture, picture], k=1).candidates[0].score > 0.99
        assert client.verify(picture, picture).score > 0.999
        assert [one.id for one in client.items(limit=2)] == ids[::-1]
        assert [one.id for one in client.items(cameras=["cam1"], until=1767225602.0)] == [ids[1]]
        assert client.item(ids[0]).identity == "p0"
        assert client.thumbnail(ids[0]).startswith(b"\xff\xd8\xff")
        assert len(list(client.identities())) == 5
        client.name_identity("p0", "Ada")
        merged = client.merge("p0", ["p1"])
        assert client.identity("p1").name == "Ada"
        assert [one.camera for one in client.timeline("p0").cameras] == ["cam0", "cam1"]
        assert client.undo(merged.id).undone
        made = client.split([ids[4]], "Bo").identity
        client.assign([ids[4]], "p4")
        assert client.item(ids[4]).identity == "p4" != made
        assert [one.kind for one in client.operations(2)] == ["assign", "split"]
        client.build_index("default")
        assert client.set_retention("default", None, {"cam9": 5.0}).cameras == {"cam9": 5.0}
        assert client.run_retention("default") == 0
        assert client.forget(identity="p2") == 1
        assert client.forget(item=ids[3]) == 1
        assert client.galleries()[0].items == 3
        first = client.audit(limit=1)
        assert first.next == first.entries[0].seq
        assert client.audit(after=first.next).entries[0].action == "search"
        with pytest.raises(InputError, match="not in this gallery"):
            client.item(ids[3])
        with pytest.raises(InputError, match="k: "):
            client.search(picture, k=0)
    with Client(live.url, gallery="other") as client, pytest.raises(InputError, match="no gallery 'other'"):
        client.search(picture)
    with Client("http://127.0.0.1:9") as client, pytest.raises(ServerError, match=r"127\.0\.0\.1:9"):
        client.info()


def test_slow_clients_wait_alone(live: Live) -> None:
    """Heads and bodies that dribble in hold nobody else up, and are ended."""
    head = (
        b"POST /v1/embed HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\nContent-Length: 1000\r\n"
    )
    slow = [live.connect() for _ in range(200)]
    for number, connection in enumerate(slow):
        connection.sendall(head if number % 2 else head + b"\r\n" + b"x" * 10)
    times = []
    with httpx2.Client(base_url=live.url, trust_env=False) as client:
        for number in range(20):
            slow[number].sendall(b"y")
            started = time.perf_counter()
            answer = client.post("/v1/embed", content=person(1), headers={"Content-Type": "image/jpeg"})
            assert answer.status_code == 200
            times.append(time.perf_counter() - started)
    assert sorted(times)[10] < 1.0
    for connection in slow:
        connection.close()


def test_a_head_that_never_ends_is_cut_off(live: Live) -> None:
    with live.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Long: ")
        with suppress(OSError):
            for _ in range(1_000):
                connection.sendall(b"a" * 65_536)
            pytest.fail("65 MB of one header were taken")
    with live.connect() as connection:
        started = time.monotonic()
        connection.sendall(b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 10_000)
        with suppress(OSError):  # closed with our bytes unread
            assert _answer(connection).startswith(b"HTTP/1.1 400")
        assert time.monotonic() - started < 5
    with live.connect() as connection:
        head = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        connection.sendall(head + b"X: y\r\n" * 8_000 + b"\r\n")
        with suppress(ConnectionError):
            assert _answer(connection).startswith(b"HTTP/1.1 400")
    assert httpx2.get(f"{live.url}/healthz", trust_env=False).status_code == 200


def test_what_is_no_http_is_refused(live: Live) -> None:
    for rubbish in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
        with live.connect() as connection:
            connection.sendall(rubbish)
            answer = _answer(connection)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 400"), rubbish
            assert b"application/problem+json" in answer or answer == b""


def test_a_body_without_end_is_refused(live: Live) -> None:
    with live.connect() as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
        answer = b""
        try:
            for _ in range(3_000):
                connection.sendall(chunk)
        except OSError:
            pass
        try:
            answer = _answer(connection)
        except OSError:  # closed with our bytes unread
            return
        assert answer == b"" or answer.startswith((b"HTTP/1.1 413", b"HTTP/1.1 400"))


def test_clients_that_go_away_leave_nothing_behind(live: Live) -> None:
    head = HEAD + b"Content-Length: %d\r\n\r\n"
    content = person(1)
    for _ in range(50):
        with live.connect() as connection:
            connection.sendall(head % len(content) + content)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        text = httpx2.get(f"{live.url}/metrics", trust_env=False).text
        if "omnireid_pictures_waiting 0.0" in text and "omnireid_held_bytes 0.0" in text:
            break
        time.sleep(0.1)
    else:
        pytest.fail(text)


def test_sigterm_under_load_finishes_what_was_accepted(tmp_path: Path, model_file: Path) -> None:
    acknowledged: list[str] = []
    odd: list[object] = []
    with live_server(tmp_path, model_file) as live:
        started = threading.Event()

        def work(worker: int) -> None:
            with Client(live.url) as client:
                for number in itertools.count():
                    try:
                        done = client.enrol([item(1000 * worker + number)])
                    except ServerError as error:
                        # The connection was refused: nothing was accepted. An answer would be another matter.
                        if error.status is not None:
                            odd.append(error)
                        return
                    acknowledged.extend(one.id for one in done.items)
                    started.set()

        with ThreadPoolExecutor(6) as pool:
            for worker in range(6):
                pool.submit(work, worker)
            assert started.wait(30)
            time.sleep(0.5)
            assert live.stop() == 0
        assert odd == []
        assert "Traceback" not in live.log.read_text()
    assert acknowledged
    assert set(acknowledged) <= stored_ids(tmp_path)


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path, model_file: Path) -> None:
    acknowledged: list[str] = []
    with live_server(tmp_path, model_file) as live, ThreadPoolExecutor(4) as pool:

        def work(worker: int) -> None:
            with Client(live.url) as client:
                for number in itertools.count():
                    try:
                        done = client.enrol([item(1000 * worker + number)])
                    except ServerError:
                        return
                    acknowledged.extend(one.id for one in done.items)

        for worker in range(4):
            pool.submit(work, worker)
        while len(acknowledged) < 12:
            time.sleep(0.02)
        live.stop(signal.SIGKILL)
    assert set(acknowledged) <= stored_ids(tmp_path)


def stored_ids(folder: Path) -> set[str]:
    """What is in a gallery that nobody serves any more."""
    with Gallery.open(str(folder / "gallery")) as gallery:
        return {one.id for one in gallery.items(limit=1000)}


def test_two_servers_share_a_gallery(tmp_path: Path, model_file: Path, live: Live) -> None:
    with live_server(tmp_path, model_file, "--gallery", str(live.log.parent / "gallery")) as second:

        def work(place: tuple[str, int]) -> list[str]:
            url, offset = place
            with Client(url) as client:
                items = [item(offset + n, camera="shared") for n in range(8)]
                return [client.enrol([one]).items[0].id for one in items]

        with ThreadPoolExecutor(2) as pool:
            ids = [one for part in pool.map(work, [(live.url, 0), (second.url, 100)]) for one in part]
        with Client(live.url) as one, Client(second.url) as other:
            for client in (one, other):
                _wait(lambda: {found.id for found in client.items(cameras=["shared"])} == set(ids))  # noqa: B023
            assert other.search(person(3), k=1, cameras=["shared"]).candidates[0].item.id == ids[3]
            identity = other.split([ids[3]]).identity
            other.name_identity(identity or "", "Ada")
            _wait(lambda: one.item(ids[3]).name == "Ada")
            assert one.forget(item=ids[0]) == 1
            _wait(lambda: ids[0] not in {found.id for found in other.items(cameras=["shared"])})
        assert second.stop() == 0


def test_a_full_disk_is_said_and_nothing_is_lost(tmp_path: Path, model_file: Path) -> None:
    """A limit on the size of files stands for the disk: beyond it writes fail, as on a full one."""
    big = [EnrolItem(image=picture_base64(person(seed, size=(256, 512)))) for seed in range(50, 80)]
    # Blocks of 1 kB: three small crops fit, thirty large thumbnails do not.
    with live_server(tmp_path, model_file, prefix="ulimit -f 60") as live, Client(live.url) as client:
        kept = {one.id for one in client.enrol([item(seed) for seed in range(3)]).items}
        with pytest.raises(ServerError, match="File too large") as raised:
            client.enrol(big)
        assert raised.value.status == 503
        assert {one.id for one in client.items()} == kept
        assert client.search(person(1), k=1).candidates[0].score > 0.99
    assert stored_ids(tmp_path) == kept


def _wait(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _answer(connection: socket.socket) -> bytes:
    connection.settimeout(15)
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    return b"".join(parts)
