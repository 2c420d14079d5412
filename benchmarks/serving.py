"""The REST service under load: throughput and latency beside the bare engine, and what it withstands.

Each round times in turn the way from JPEG files to embeddings without a server (`Embedder.embed_stream`) and
the same pictures posted to `/v1/embed` by wrk, on the cores that server, engine and load generator share. A
search and an enrolment are timed against a gallery of made-up people.

    python benchmarks/serving.py                # prints the tables, writes benchmarks/results/serving.json
    python benchmarks/serving.py --soak 600     # ten minutes of good and hostile requests as well
    python benchmarks/serving.py --models osnet_x0_25 --rounds 1 --seconds 3 --soak 0 --out FILE    # a look

Needs `wrk` (Debian: apt-get install wrk). Speed does not depend on the weights, which are random.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from PIL import Image

from omnireid import Embedder
from omnireid.core.errors import InputError
from omnireid.core.machine import available_cores
from omnireid.core.record import EnvironmentRecord
from omnireid.core.types import Sample
from omnireid.server.client import Client, EnrolItem, picture_base64
from options import new_file, run

RESULTS = Path(__file__).parent / "results" / "serving.json"
ARCHITECTURES = ("osnet_x1_0", "osnet_x0_25")
CLIENTS = (1, 8, 32)
GOAL = 0.85
NUM_PICTURES = 128
NUM_ITEMS = 2_000

_POST = """
local bodies, place = {}, 0
function init(paths)
  for _, path in ipairs(paths) do
    local file = io.open(path, "rb")
    bodies[#bodies + 1] = file:read("*a")
    file:close()
  end
end
function request()
  place = place % #bodies + 1
  return wrk.format("POST", nil, { ["Content-Type"] = "image/jpeg" }, bodies[place])
end
"""


def write_pictures(folder: Path) -> list[str]:
    """Crops of 128×256 that take as many bits as photographs."""
    rng = np.random.default_rng(0)
    paths = []
    for index in range(NUM_PICTURES):
        coarse = Image.fromarray(rng.integers(0, 256, (16, 8, 3), dtype=np.uint8))
        picture = np.asarray(coarse.resize((128, 256), Image.Resampling.BICUBIC), np.float32)
        noisy = np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)
        path = folder / f"{index:04d}.jpg"
        Image.fromarray(noisy).save(path, quality=90)
        paths.append(str(path))
    return paths


def write_model(name: str, folder: Path) -> Path:
    from omnireid.models.cards import model_card
    from omnireid.models.osnet import OSNet
    from omnireid.models.registry import architecture_config
    from omnireid.models.weights import save_weights

    path = folder / f"{name}.safetensors"
    save_weights(path, OSNet(architecture_config(name)).eval(), model_card(name))
    return path


@contextmanager
def server(model: Path, folder: Path) -> Iterator[tuple[str, int]]:
    """URL and process id of a server that is ready."""
    command = [sys.executable, "-m", "omnireid", "serve", "--model", str(model), "--port", "0"]
    with (folder / "server.log").open("a") as log:
        process = subprocess.Popen(
            [*command, "--gallery", str(folder / f"{model.stem}-gallery")],
            stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        url = process.stdout.readline().rpartition(" ")[2].strip()
        while httpx2.get(f"{url}/readyz", trust_env=False).status_code != 200:
            time.sleep(0.1)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait()


def files_to_embeddings(embedder: Embedder, paths: list[str], seconds: float) -> tuple[float, float]:
    """Pictures per second, and milliseconds of processor time for each."""
    samples = [Sample(path, -1, -1) for path in paths]
    many = samples * max(1, round(512 / len(samples)))
    done, started, used = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds:
        for _ in embedder.embed_stream(many):
            pass
        done += len(many)
    return done / (time.perf_counter() - started), 1000 * (time.process_time() - used) / done


def load(
    url: str, process: int, script: Path, paths: list[str], clients: int, seconds: int
) -> dict[str, Any]:
    """One run of wrk: requests a second, latencies, and processor time of the server and of wrk."""
    target = f"{url}/v1/embed"
    before, own = _processor_s(process), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [
        "wrk",
        "-t1",
        f"-c{clients}",
        f"-d{seconds}s",
        "--latency",
        "-s",
        str(script),
        target,
        "--",
        *paths,
    ]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used, now = _processor_s(process) - before, resource.getrusage(resource.RUSAGE_CHILDREN)
    requests = int(_found(r"(\d+) requests in", text))
    return {
        "per_s": float(_found(r"Requests/sec:\s+([\d.]+)", text)),
        "p50_ms": _milliseconds(_found(r"(?m)^\s+50%\s+(\S+)", text)),
        "p99_ms": _milliseconds(_found(r"(?m)^\s+99%\s+(\S+)", text)),
        "server_cpu_ms": 1000 * used / requests,
        "wrk_cpu_ms": 1000 * (now.ru_utime + now.ru_stime - own.ru_utime - own.ru_stime) / requests,
        "errors": int((re.search(r"Non-2xx or 3xx responses: (\d+)", text) or ("", "0"))[1]),
    }


def measure(name: str, folder: Path, paths: list[str], rounds: int, seconds: int) -> dict[str, Any]:
    model = write_model(name, folder)
    script = folder / "post.lua"
    script.write_text(_POST)
    embedder = Embedder.open(model)
    files_to_embeddings(embedder, paths, 0.1)
    base: list[tuple[float, float]] = []
    runs: dict[int, list[dict[str, Any]]] = {clients: [] for clients in CLIENTS}
    with server(model, folder) as (url, process):
        for _ in range(rounds):
            for clients in CLIENTS:
                if clients == max(CLIENTS):
                    base.append(files_to_embeddings(embedder, paths, seconds))
                runs[clients].append(load(url, process, script, paths, clients, seconds))
        routes = measure_routes(url, paths)
    engine = {
        "per_s": statistics.median(one[0] for one in base),
        "cpu_ms": statistics.median(one[1] for one in base),
    }
    served = {
        str(clients): {key: statistics.median(one[key] for one in found) for key in found[0]}
        for clients, found in runs.items()
    }
    most = served[str(max(CLIENTS))]
    # Of neighbours in time, so that a slow minute of the machine hits both.
    ratios = [one["per_s"] / base[place][0] for place, one in enumerate(runs[max(CLIENTS)])]
    row = {
        "model": name, "engine": engine, "served": served, "routes": routes,
        "ratio": statistics.median(ratios), "ratios": ratios,
        "cpu_ratio": engine["cpu_ms"] / (most["server_cpu_ms"] + most["wrk_cpu_ms"]),
    }  # fmt: skip
    print(
        f"\n{name}: files to embeddings {engine['per_s']:.0f} pictures/s, "
        f"{engine['cpu_ms']:.2f} ms of processor each"
    )
    print("| clients | pictures/s | p50 ms | p99 ms | processor ms: server | wrk |")
    print("|---:|---:|---:|---:|---:|---:|")
    for clients, one in served.items():
        print(
            f"| {clients} | {one['per_s']:.0f} | {one['p50_ms']:.0f} | {one['p99_ms']:.0f} "
            f"| {one['server_cpu_ms']:.2f} | {one['wrk_cpu_ms']:.2f} |"
        )
    print(
        f"throughput at {max(CLIENTS)} clients: {row['ratio']:.1%} of the engine's (goal {GOAL:.0%}); "
        f"by processor time {row['cpu_ratio']:.1%}"
    )
    for route, one in routes.items():
        print(f"{route}: p50 {one['p50_ms']:.1f} ms, p99 {one['p99_ms']:.1f} ms")
    return row


def measure_routes(url: str, paths: list[str]) -> dict[str, dict[str, float]]:
    """Latency of one client's enrolments and searches, in a gallery of a few thousand items."""
    rng = np.random.default_rng(1)
    pictures = [Path(path).read_bytes() for path in paths]
    with Client(url) as client:
        model = client.info().model
        for start in range(0, NUM_ITEMS, 250):
            rows = rng.standard_normal((250, model.embedding_size))
            client.enrol(
                EnrolItem(embedding=row.tolist(), model_sha256=model.sha256, identity=f"p{(start + n) // 10}")
                for n, row in enumerate(rows)
            )
        enrols = _timed(lambda n: client.enrol([EnrolItem(image=picture_base64(pictures[n]))]), 60)
        searches = _timed(lambda n: client.search(pictures[n]), 100)
    return {"enrol": enrols, "search": searches}


def _timed(call: Any, count: int) -> dict[str, float]:
    times = []
    for number in range(count):
        started = time.perf_counter()
        call(number)
        times.append(1000 * (time.perf_counter() - started))
    return {"p50_ms": float(np.percentile(times, 50)), "p99_ms": float(np.percentile(times, 99))}


# Good and hostile load


def soak(folder: Path, paths: list[str], seconds: float) -> dict[str, Any]:
    """Good requests beside hostile ones; statuses, latency of the good ones, and the server's memory."""
    pictures = [Path(path).read_bytes() for path in paths]
    model = folder / "osnet_x0_25.safetensors"
    if not model.is_file():
        write_model("osnet_x0_25", folder)
    with server(model, folder) as (url, process):
        memory = asyncio.run(_soak(url, process, pictures, seconds))
        alive = httpx2.get(f"{url}/readyz", trust_env=False).status_code == 200
    return {**memory, "seconds": seconds, "alive": alive}


async def _soak(url: str, process: int, pictures: list[bytes], seconds: float) -> dict[str, Any]:
    statuses: Counter[int] = Counter()
    defects: list[str] = []
    times: list[float] = []
    memory: list[float] = []
    end = time.monotonic() + seconds
    async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=60) as http:

        async def good(seed: int) -> None:
            chance = random.Random(seed)
            while time.monotonic() < end:
                path, query = chance.choice(
                    [
                        ("/v1/embed", {}),
                        ("/v1/search", {"k": 5}),
                        ("/v1/search", {"k": 3, "cameras": "a"}),
                        (
                            "/v1/enrol",
                            {"camera": chance.choice("ab"), "identity": f"p{chance.randrange(50)}"},
                        ),
                    ]
                )
                started = time.perf_counter()
                picture = chance.choice(pictures)
                answer = await http.post(
                    path, params=query, content=picture, headers={"Content-Type": "image/jpeg"}
                )
                times.append(1000 * (time.perf_counter() - started))
                note(answer.status_code, path)

        async def hostile(seed: int) -> None:
            chance = random.Random(seed)
            while time.monotonic() < end:
                method, path, content, kind = _hostile_request(chance, pictures)
                try:
                    answer = await http.request(method, path, content=content, headers={"Content-Type": kind})
                    note(answer.status_code, path)
                except httpx2.HTTPError:
                    statuses[0] += 1
                await asyncio.sleep(0.01)

        async def rude(seed: int) -> None:
            """Bare connections that dribble, break off, or speak no HTTP."""
            chance = random.Random(seed)
            host, port = url.removeprefix("http://").split(":")
            while time.monotonic() < end:
                _, writer = await asyncio.open_connection(host, int(port))
                try:
                    writer.write(chance.choice(_RUDE))
                    await writer.drain()
                    await asyncio.sleep(chance.random())
                except OSError:
                    pass
                writer.close()

        async def watch() -> None:
            while time.monotonic() < end:
                memory.append(_resident_mb(process))
                await asyncio.sleep(min(5.0, seconds / 20))

        def note(status: int, path: str) -> None:
            statuses[status] += 1
            if status >= 500:
                defects.append(f"{status} {path[:80]}")

        workers = [good(seed) for seed in range(8)] + [hostile(100 + seed) for seed in range(6)]
        await asyncio.gather(*workers, *(rude(200 + seed) for seed in range(10)), watch())
    found = {
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "defects": defects[:20],
        "good_p50_ms": float(np.percentile(times, 50)),
        "good_p99_ms": float(np.percentile(times, 99)),
        "resident_mb": {"start": memory[0], "middle": memory[len(memory) // 2], "end": memory[-1]},
    }
    print("\nsoak:", json.dumps(found))
    return found


_RUDE = (
    b"",
    b"GET",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 200_000,
    b"POST /v1/embed HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 90000\r\n\r\nxx",
    b"POST /v1/embed HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /v1/embed HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
)


def _hostile_request(chance: random.Random, pictures: list[bytes]) -> tuple[str, str, bytes, str]:
    picture = bytearray(chance.choice(pictures))
    for _ in range(chance.randrange(1, 60)):
        picture[chance.randrange(len(picture))] = chance.randrange(256)
    cut = bytes(picture[: chance.randrange(1, len(picture))])
    return chance.choice(
        [
            ("POST", "/v1/embed", bytes(picture), "image/jpeg"),
            ("POST", "/v1/search", cut, "image/jpeg"),
            ("POST", "/v1/enrol?camera=%00&quality=x", cut, "image/png"),
            ("POST", "/v1/search", b'{"k": ' + b"[" * 50_000, "application/json"),
            ("POST", "/v1/search", b'{"embedding": [NaN, 1e999]}', "application/json"),
            ("POST", "/v1/embed", b"x" * 17_000_000, "image/jpeg"),
            ("POST", "/v1/embed", os.urandom(5_000), "application/json"),
            ("POST", "/v1/identities/merge", b'{"into": "a", "identities": ["b"]}', "application/json"),
            ("GET", "/v1/items?cameras=%27%20OR%201%3D1%20--", b"", "text/plain"),
            ("GET", "/assets/..%2f..%2f..%2fetc%2fpasswd", b"", "text/plain"),
            ("GET", f"/v1/items/{chance.getrandbits(128):032x}/thumbnail", b"", "text/plain"),
            ("DELETE", f"/v1/identities/{chance.randrange(10**6)}-nobody", b"", "text/plain"),
            ("PUT", "/v1/galleries/default/retention", b'{"default_s": -1}', "application/json"),
        ]
    )


def _processor_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mb(process: int) -> float:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise InputError(f"wrk said something else than expected:\n{text}")
    return found[1]


def _milliseconds(text: str) -> float:
    # The pattern that found the text guarantees a match.
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}[unit]


def main() -> None:
    parser = argparse.ArgumentParser(description="The REST service under load.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8, help="of each run of wrk and of the engine")
    parser.add_argument("--models", nargs="+", choices=ARCHITECTURES, default=ARCHITECTURES)
    parser.add_argument(
        "--soak", type=float, default=20.0, help="seconds of good and hostile load; 0 for none"
    )
    parser.add_argument("--out", type=new_file, default=RESULTS)
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        raise InputError("wrk: not installed; apt-get install wrk")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_pictures(folder)
        rows = [measure(one, folder, paths, options.rounds, options.seconds) for one in options.models]
        soaked = soak(folder, paths, options.soak) if options.soak else None
    result = {
        "goal": GOAL,
        "cores": available_cores(),
        "models": rows,
        "soak": soaked,
        "environment": EnvironmentRecord.capture().model_dump(),
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(f"\nwritten: {options.out}")


if __name__ == "__main__":
    run(main)
