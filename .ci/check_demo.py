"""The demo as a stranger gets it: prepared, served, searched, and stopped with what it has kept."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2

START_S = 120


def main() -> None:
    run = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "demo"
        for attempt in ("filled", "kept"):
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            command = [Path(sys.executable).with_name("omnireid"), "demo", "--run", run, "--out", out]
            server = subprocess.Popen([*command, "--no-browser", "--port", str(port)])
            try:
                check(f"http://127.0.0.1:{port}", out, server)
            finally:
                server.send_signal(signal.SIGTERM)
                code = server.wait(timeout=60)
            if code != 0:
                sys.exit(f"the server ended with {code} after SIGTERM")
            print(f"the demo was {attempt}, searched and stopped")


def check(url: str, out: Path, server: subprocess.Popen[bytes]) -> None:
    with httpx2.Client(base_url=url, timeout=60) as client:
        wait_until_ready(client, server)
        page = client.get("/")
        if page.status_code != 200 or "<title>" not in page.text:
            sys.exit(f"no page: {page.status_code}")
        seen = sorted((out / "try").glob("seen_*.jpg"))
        right = 0
        for picture in seen:
            answer = client.post(
                "/v1/search", content=picture.read_bytes(), headers={"content-type": "image/jpeg"}
            ).raise_for_status()
            found = [group["identity"] for group in answer.json()["groups"]]
            # Ada (person-001) was enrolled as two people.
            wanted = {picture.stem.removeprefix("seen_")} | (
                {"person-061"} if "-001" in picture.stem else set()
            )
            right += bool(found and found[0] in wanted)
        if right < len(seen) - 2:
            sys.exit(f"only {right} of {len(seen)} people were found first")
        print(f"{right} of {len(seen)} people were found first")


def wait_until_ready(client: httpx2.Client, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if server.poll() is not None:
            sys.exit(f"the server ended with {server.returncode} before it was ready")
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.3)
    sys.exit(f"the server was not ready after {START_S} s")


if __name__ == "__main__":
    main()
