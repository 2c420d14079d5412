"""Runs command lines in forks of one process that has imported everything: thousands take seconds.

Reads a JSON object a line from stdin: {"argv", "cwd", "timeout_s"}; writes one a line to stdout:
{"code", "out", "err", "ended"}. `ended` is "itself", "interrupted" (still at work after its time, and ended
by SIGINT) or "killed" (SIGINT did not end it). A server that has announced itself is interrupted at once.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import sys
import time
import traceback
from pathlib import Path

import numba
import typer
from sklearn.manifold import TSNE

import omnireid
from omnireid.core.errors import OmniReIDError

PRELOADED = (
    "torch", "torch.profiler", "torch.utils.tensorboard", "lightning_fabric", "onnxruntime", "numba", "cv2",
    "safetensors.numpy", "safetensors.torch", "PIL.JpegImagePlugin", "jinja2", "lancedb",
    "pyarrow.acero", "pyarrow.dataset",
)  # fmt: skip
ANNOUNCED = b"serving on "
PATIENCE_S = 10.0


def main() -> None:
    from omnireid.cli.app import app
    from omnireid.cli.app import main as run_command

    ours = (
        module.name
        for module in pkgutil.walk_packages(omnireid.__path__, "omnireid.")
        if module.name != "omnireid.__main__"
    )
    for name in (*PRELOADED, *ours):
        # What a machine lacks (Triton, TensorRT) is imported by whoever asks for it.
        with contextlib.suppress(ImportError, OmniReIDError):
            importlib.import_module(name)
    # A quarter of the steps: a report's map takes half of what an evaluation of this little world takes.
    TSNE.__init__.__kwdefaults__["max_iter"] = 250
    # What numba loads for the first function that it compiles, or finds compiled.
    numba.njit(lambda: 0)()
    # Children would pay for looking through all of this, and for the command tree, again and again.
    gc.collect()
    gc.freeze()
    command = typer.main.get_command(app)
    typer.main.get_command = lambda _: command  # type: ignore[assignment]
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        case = json.loads(line)
        cwd = Path(case["cwd"])
        out, err = cwd / ".stdout", cwd / ".stderr"
        child = os.fork()
        if child == 0:
            run(run_command, case["argv"], cwd, out, err)
        code, ended = wait(child, out, case["timeout_s"])
        answer = {"code": code, "ended": ended}
        for name, file in (("out", out), ("err", err)):
            answer[name] = file.read_bytes().decode(errors="backslashreplace")
            file.unlink()
        print(json.dumps(answer), file=answers, flush=True)


def run(run_command, argv: list[str], cwd: Path, out: Path, err: Path) -> None:
    """The child: never returns."""
    code = 1
    try:
        os.setsid()
        os.chdir(cwd)
        for number, file, flags in (
            (0, os.devnull, os.O_RDONLY),
            (1, out, os.O_WRONLY),
            (2, err, os.O_WRONLY),
        ):
            os.dup2(os.open(file, flags | os.O_CREAT, 0o644), number)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = ["omnireid", *argv]
        run_command()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait(child: int, out: Path, timeout_s: float) -> tuple[int, str]:
    """Exit code (negative: a signal's number), and what ended it."""
    handle = os.pidfd_open(child)
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    started, ended = time.monotonic(), "itself"
    while not poll.poll(20):
        is_serving = out.is_file() and ANNOUNCED in out.read_bytes()
        if is_serving or time.monotonic() - started > timeout_s:
            ended = "itself" if is_serving else "interrupted"
            os.kill(child, signal.SIGINT)
            if not poll.poll(1000 * PATIENCE_S):
                ended = "killed"
                os.killpg(child, signal.SIGKILL)
            break
    os.close(handle)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), ended


if __name__ == "__main__":
    main()
