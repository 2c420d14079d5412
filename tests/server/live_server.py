"""A real `omnireid serve` in a process of its own, and raw connections to it."""

from __future__ import annotations

import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

START_S = 60.0


@dataclass
class Live:
    """A server that listens, and how to end it."""

    process: subprocess.Popen[str]
    url: str
    log: Path
    ca: Path | None = None

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            verify = True if self.ca is None else ssl.create_default_context(cafile=self.ca)
            if httpx2.get(f"{self.url}/readyz", trust_env=False, verify=verify).status_code == 200:
                return
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 40) -> int:
        """Send a signal and wait for the end; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout_s)


@contextmanager
def live_server(
    folder: Path, model: Path, *arguments: str, prefix: str = "", ca: Path | None = None
) -> Iterator[Live]:
    """Start a server on a free port, with a gallery in `folder`, and end it in any case.

    Args:
        prefix: shell commands that run before it in the same process.
        ca: what vouches for its certificate, where the arguments name one.
    """
    log = folder / f"server-{time.monotonic_ns()}.log"
    command = [sys.executable, "-m", "omnireid", "serve", "--model", str(model), "--port", "0", *arguments]
    if "--gallery" not in arguments:
        command += ["--gallery", str(folder / "gallery")]
    if prefix:
        command = ["bash", "-c", f'{prefix}; exec "$@"', "serve", *command]
    with log.open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"serving on (https?://\S+)\n", line)
        assert found, f"{line!r}\n{log.read_text()}"
        live = Live(process, found[1], log, ca)
        live.wait_until_ready()
        yield live
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
