"""Three servers on one gallery behind nginx, with `deploy/nginx.conf`; HTTPS without a proxy.

With OMNIREID_WHOLE_CONTRACT=1 the gallery is in a bucket (14 s more), else in a folder.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn

from gallery.milvus_server import free_port
from omnireid import Embedder, Gallery
from omnireid.core.errors import ConfigError, InputError
from omnireid.server.app import create_app
from omnireid.server.client import Client, EnrolItem, ServerError, picture_base64
from omnireid.server.limits import Limits
from omnireid.server.running import DrainedServer, Tls, check_tls, listen, server_of
from omnireid.server.tokens import TokenFile
from server.certificates import made_certificate
from server.live_server import live_server
from server.toy_service import ToyBackend, person

CONF = Path(__file__).parents[2] / "deploy" / "nginx.conf"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


class Server:
    """One server of a gallery, in threads of the test, that can be restarted on its port."""

    def __init__(self, gallery: Gallery, tokens: TokenFile) -> None:
        self._asked = gallery, tokens
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        gallery, tokens = self._asked
        app = create_app(Embedder(ToyBackend()), {"site": gallery}, tokens=tokens, allowed_hosts=None)
        listener = listen("127.0.0.1", self.port)
        self.port = listener.getsockname()[1]
        self._server = server_of(app, limits=Limits())
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]})
        self._thread.start()
        while httpx2.get(f"{self.url}/readyz", trust_env=False).status_code != 200:
            time.sleep(0.01)

    def stop(self) -> None:
        """As SIGTERM does."""
        self._server.handle_exit(signal.SIGTERM, None)
        self._thread.join()


@contextmanager
def nginx(folder: Path, tls: Tls, ports: list[int]) -> Iterator[str]:
    """nginx with the site that `deploy/` has, for these servers; its address."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    outside = free_port()
    site = CONF.read_text().replace("listen 443", f"listen 127.0.0.1:{outside}")
    site = re.sub(r"(ssl_certificate +)[^;]+", rf"\g<1>{tls.certificate}", site)
    site = re.sub(r"(ssl_certificate_key +)[^;]+", rf"\g<1>{tls.key}", site)
    (line,) = re.findall(r"server 127.0.0.1:8000\b.*;", site)
    site = site.replace(line, " ".join(line.replace("8000", str(port)) for port in ports))
    places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{name}_temp_path {folder / name};" for name in places)
    user = "user root;" if os.geteuid() == 0 else ""
    conf = folder / "nginx.conf"
    conf.write_text(
        f"{user} daemon off; pid {folder / 'pid'}; error_log {folder / 'errors'}; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{site} }}\n"
    )
    process = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(conf)], stderr=subprocess.PIPE)
    url = f"https://127.0.0.1:{outside}"
    deadline = time.monotonic() + 10
    while not (folder / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    try:
        yield url
    finally:
        process.terminate()
        process.communicate()


SERVED = """
import signal, sys, threading, time, traceback
import httpx2
from omnireid import Embedder, Gallery
from omnireid.server.app import create_app
from omnireid.server.limits import Limits
from omnireid.server.running import listen, run_server
from server.toy_service import ToyBackend

listener = listen("127.0.0.1", 0)

def stop_when_ready():
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/readyz"
    while httpx2.get(url, trust_env=False).status_code != 200:
        time.sleep(0.01)
    signal.raise_signal(signal.SIGTERM)

with Gallery.open(sys.argv[1]) as gallery:
    app = create_app(Embedder(ToyBackend()), {"site": gallery}, tokens=None)
    try:
        run_server(app, listener, limits=Limits(), on_start=threading.Thread(target=stop_when_ready).start)
    except SystemExit as ended:
        print(ended.code, *{frame.filename for frame in traceback.extract_tb(ended.__traceback__)})
"""


def test_a_signal_ends_the_loop_before_the_program(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVED, str(tmp_path / "gallery")]
    path = os.pathsep.join(sys.path)
    said = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=os.environ | {"PYTHONPATH": path}
    )
    assert (said.returncode, said.stderr) == (0, "")
    code, *files = said.stdout.split()
    assert code == "0"
    # Raised within the loop, it reaches uvloop while that still runs.
    assert [file for file in files if file.endswith("running.py")]
    assert not [file for file in files if "uvicorn" in file]


ASKING = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def stopping_server(
    tmp_path: Path, moment: Callable[[DrainedServer, int], list[socket.socket]]
) -> list[bytes]:
    """What connections that are made at some moment of a server hear, when it is told to stop after it."""
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    with Gallery.open(str(tmp_path / "gallery")) as gallery:
        app = create_app(Embedder(ToyBackend()), {"site": gallery}, tokens=None)
        server = server_of(app, limits=Limits())
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        connections = moment(server, port)
        server.handle_exit(signal.SIGTERM, None)
        answers = []
        for connection in connections:
            time.sleep(0.3)
            with connection:
                connection.sendall(ASKING)
                answers.append(connection.makefile("rb").read())
        thread.join()
    with pytest.raises(ConnectionRefusedError):
        connected(port)
    return answers


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def test_who_has_just_connected_is_answered_by_a_server_that_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def accepted(server: DrainedServer, port: int) -> list[socket.socket]:
        one = connected(port)
        while not server.server_state.connections:
            time.sleep(0.01)
        return [one]

    def waiting(server: DrainedServer, port: int) -> list[socket.socket]:
        async def last_tick(_: int) -> bool:
            # The system makes the connection; the loop, which leaves, has yet to accept it.
            made.append(connected(port))
            return True

        made: list[socket.socket] = []
        monkeypatch.setattr(server, "on_tick", last_tick)
        while not made:
            time.sleep(0.01)
        return made

    for moment in (accepted, waiting):
        (answer,) = stopping_server(tmp_path, moment)
        assert answer.startswith(b"HTTP/1.1 200"), moment
        assert b"connection: close" in answer, (moment, answer)


def test_who_connects_and_says_nothing_does_not_hold_a_server_that_stops(tmp_path: Path) -> None:
    def silent(server: DrainedServer, port: int) -> list[socket.socket]:
        kept.append(connected(port))
        while not server.server_state.connections:
            time.sleep(0.01)
        return []

    kept: list[socket.socket] = []
    before = time.monotonic()
    assert stopping_server(tmp_path, silent) == []
    assert time.monotonic() - before < 10
    kept[0].close()


@pytest.fixture
def galleries(tmp_path: Path) -> Iterator[list[Gallery]]:
    """Three handles on one gallery, as three machines have them."""
    with ExitStack() as stack:
        uri, options = str(tmp_path / "gallery"), None
        if os.environ.get("OMNIREID_WHOLE_CONTRACT"):
            from gallery.bucket import Bucket

            bucket = Bucket()
            stack.callback(bucket.close)
            uri, options = bucket.new_place(), bucket.options
        yield [stack.enter_context(Gallery.open(uri, storage_options=options)) for _ in range(3)]


def test_three_servers_are_restarted_one_by_one_and_no_request_fails(
    tmp_path: Path, galleries: list[Gallery]
) -> None:
    tls = made_certificate(tmp_path)
    tokens = TokenFile(tmp_path / "tokens.json")
    token = tokens.create("reception", "write")
    servers = [Server(gallery, tokens) for gallery in galleries]
    failures: list[BaseException] = []
    enrolled: list[str] = []
    is_over = threading.Event()

    def work(worker: int, url: str) -> None:
        for number in itertools.count(100 * worker):
            if is_over.is_set():
                return
            try:
                # A connection of its own each time, so that all servers are asked.
                with Client(url, token=token, ca=tls.certificate, retries=0) as client:
                    seen = EnrolItem(image=picture_base64(person(number)), camera="door")
                    enrolled.extend(one.id for one in client.enrol([seen]).items)
                    client.search(person(number), k=1)
            except BaseException as error:
                failures.append(error)
                return

    try:
        with nginx(tmp_path, tls, [server.port for server in servers]) as url:
            workers = [threading.Thread(target=work, args=(worker, url)) for worker in range(2)]
            for worker in workers:
                worker.start()
            for server in servers:
                so_far = len(enrolled)
                server.stop()
                server.start()
                while len(enrolled) < so_far + 2 and not failures:
                    time.sleep(0.02)
            is_over.set()
            for worker in workers:
                worker.join()
            assert failures == []
            there = {one.id for one in galleries[0].items(limit=1000)}
            assert there == set(enrolled)
            with Client(url, token=token, ca=tls.certificate) as client:
                assert client.forget(item=enrolled[0]) == 1
            # Metrics and probes are not for those outside.
            assert httpx2.get(f"{url}/metrics", verify=False, trust_env=False).status_code == 404
        assert [len(gallery.items(limit=1000)) for gallery in galleries] == [len(there) - 1] * 3
        tokens.revoke("reception")
        for server in servers:
            with Client(server.url, token=token, retries=0) as client:
                deadline = time.monotonic() + 10
                while _works(client):
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
    finally:
        is_over.set()
        for server in servers:
            server.stop()


def _works(client: Client) -> bool:
    try:
        client.info()
    except ServerError:
        return False
    return True


def test_https_without_a_proxy_and_a_server_that_drains(tmp_path: Path, model_file: Path) -> None:
    tls = made_certificate(tmp_path)
    options = (
        "--tls-cert",
        str(tls.certificate),
        "--tls-key",
        str(tls.key),
        "--drain",
        "60",
        "--access-log",
    )
    with live_server(tmp_path, model_file, *options, ca=tls.certificate) as live:
        assert live.url.startswith("https://")
        with Client(live.url, ca=tls.certificate) as client:
            client.info()
            live.process.send_signal(signal.SIGTERM)
            _wait_for(live.url, tls, 503)
            # Still there for who has not heard of it yet.
            client.info()
        asked = {"X-Request-ID": "from-the-proxy.1"}
        answer = httpx2.get(f"{live.url}/v1/info", headers=asked, verify=False, trust_env=False)
        assert answer.headers["X-Request-ID"] == "from-the-proxy.1"
        # A second signal does not wait.
        assert live.stop() == 0
        told = live.log.read_text()
        assert '"request": "from-the-proxy.1", "method": "GET", "route": "/v1/info", "status": 200' in told


def test_a_client_names_the_file_that_vouches_for_nobody(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("no certificate")
    for name in ("missing.pem", "no.pem"):
        with pytest.raises(InputError, match=f"{name}: cannot be used .*expected a PEM file"):
            Client("https://127.0.0.1:9", ca=tmp_path / name)


def _wait_for(url: str, tls: Tls, status: int) -> None:
    deadline = time.monotonic() + 10
    while httpx2.get(f"{url}/readyz", verify=False, trust_env=False).status_code != status:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_is_no_certificate_is_refused_before_anything_is_opened(tmp_path: Path, omnireid: Any) -> None:
    (tmp_path / "rubbish.pem").write_text("rubbish")
    for key in ("absent.pem", "rubbish.pem"):
        with pytest.raises(ConfigError, match="expected PEM files"):
            check_tls(Tls(tmp_path / "rubbish.pem", tmp_path / key))
    done = omnireid("serve", "--gallery", tmp_path / "g", "--tls-cert", tmp_path / "rubbish.pem")
    assert done.code == 2
    assert "HTTPS needs both" in done.err
    assert not (tmp_path / "g").exists()


def test_a_second_ctrl_c_ends_draining_and_drops_nothing_later() -> None:
    server = DrainedServer(uvicorn.Config("none:app"), drain_s=0.05)
    server.handle_exit(signal.SIGINT, None)
    assert (server.is_draining, server.should_exit) == (True, False)
    server.handle_exit(signal.SIGINT, None)
    assert server.should_exit
    time.sleep(0.2)
    assert not server.force_exit
