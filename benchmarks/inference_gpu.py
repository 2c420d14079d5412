"""OSNet's forms on an NVIDIA GPU: latency, throughput, cosine to the float32 network, share of the roofline.

python benchmarks/inference_gpu.py writes results/inference_gpu.json after every figure, so that a run cut
short keeps what it has. Ends by itself within --budget seconds. What was expected: docs/benchmarks/gpu.md.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gpu_costs import BATCHES, H200, HEIGHT, MODELS, WIDTH, Chip, ours, predictions, seconds
from omnireid.core.arrays import Float64, UInt8
from omnireid.core.card import InputSpec, ModelCard
from omnireid.core.files import write_text
from omnireid.core.record import EnvironmentRecord
from omnireid.core.seeds import numpy_generator
from omnireid.inference.fused.fold import fold
from omnireid.inference.fused.gpu import DTYPES, GpuOSNet
from omnireid.inference.fused.gpu_plain import PlainOSNet
from omnireid.models.registry import architecture_config, build_model
from options import existing, new_file, run

RESULTS = Path(__file__).parent / "results" / "inference_gpu.json"
CHECKED_CROPS = 256
NO_GPU = "no NVIDIA GPU here: torch.cuda.is_available() is False. --dry-run-cpu tries the script alone"

Run = Callable[[], Any]
Bind = Callable[[Tensor], Run]
"""From crops on the device to a call that embeds them."""


class OutOfTimeError(Exception):
    """The budget is spent."""


class Clock:
    """Times calls on a device; on the CPU by the wall clock, for dry runs."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def median_s(self, run: Run, seconds: float) -> float:
        """Median of a call's device time over about `seconds`, in five or more groups of calls."""
        run()
        once = self._group_s(run, 1)
        calls = max(1, round(seconds / 5 / max(once, 1e-6)))
        return float(np.median([self._group_s(run, min(calls, 2000)) for _ in range(5)]))

    def wall_s(self, run: Run, calls: int) -> Float64:
        """Wall time of each of so many calls that end with their result on the host."""
        for _ in range(min(calls, 10)):
            run()
        times = []
        for _ in range(calls):
            began = time.perf_counter()
            run()
            times.append(time.perf_counter() - began)
        return np.array(times)

    def _group_s(self, run: Run, calls: int) -> float:
        if self.device.type == "cpu":
            began = time.perf_counter()
            for _ in range(calls):
                run()
            return (time.perf_counter() - began) / calls
        first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        first.record()
        for _ in range(calls):
            run()
        last.record()
        last.synchronize()
        return first.elapsed_time(last) / 1e3 / calls


class Subject:
    """One network, its crops, and its forms by name."""

    def __init__(self, model: str, weights: Path | None, device: torch.device, size: tuple[int, int]) -> None:
        self.device = device
        if weights is None:
            card = ModelCard(name=model, architecture=model, input=InputSpec(height=size[0], width=size[1]))
            network = build_model(model)
            network.initialise(torch.Generator().manual_seed(0))
        else:
            from omnireid.models.weights import load_weights

            network, card = load_weights(weights)
        self.card = card
        state = {name: values.numpy() for name, values in network.state_dict().items()}
        self.folded = fold(state, network.config)
        self.network = network.to(device).eval()
        scale, shift = card.input.scale_shift()
        self._scale = torch.from_numpy(scale).to(device)[:, None, None]
        self._shift = torch.from_numpy(shift).to(device)[:, None, None]
        self.crops = soft_crops(CHECKED_CROPS if device.type == "cuda" else 4, card.input)
        self.reference = self._reference()

    def batch(self, count: int) -> Tensor:
        """Crops on the device, the first `count` of the checked ones repeated."""
        return torch.from_numpy(np.resize(self.crops, (count, *self.crops.shape[1:]))).to(self.device)

    def readable(self, crops: Tensor) -> Tensor:
        images = crops.permute(0, 3, 1, 2).contiguous().float().mul_(self._scale).add_(self._shift)
        embeddings: Tensor = self.network(images)
        return embeddings

    def eager(self, crops: Tensor) -> Run:
        return lambda: self.readable(crops)

    def folded_eager(self, precision: str) -> Bind:
        plain = PlainOSNet(self.folded, self.card.input, dtype=DTYPES[precision]).to(self.device)
        return lambda crops: lambda: plain(crops)

    def in_graph(self, bind: Bind) -> Bind:
        """The same launches, replayed as one CUDA graph."""
        if self.device.type == "cpu":
            return bind

        def bound(crops: Tensor) -> Run:
            run = bind(crops)
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):
                    run()
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                rows = run()

            def replay() -> Tensor:
                graph.replay()
                return rows

            return replay

        return bound

    def compiled(self, precision: str) -> Bind:
        plain = PlainOSNet(self.folded, self.card.input, dtype=DTYPES[precision]).to(self.device)

        def bound(crops: Tensor) -> Run:
            torch._dynamo.reset()
            run = torch.compile(plain, mode="max-autotune", dynamic=False)
            return lambda: run(crops)

        return bound

    def _reference(self) -> Float64:
        """Of the readable network in float32, without TF32."""
        allowed = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        parts = np.array_split(self.crops, max(1, len(self.crops) // 32))
        rows = [self.readable(torch.from_numpy(part).to(self.device)).cpu().numpy() for part in parts]
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = allowed
        return np.concatenate(rows).astype(np.float64)


def soft_crops(count: int, spec: InputSpec) -> UInt8:
    """(count, H, W, 3) uint8: patches of colour under noise; flat noise alone would excite few channels."""
    generator = numpy_generator(0, "GPU benchmark crops")
    patches = generator.integers(0, 256, (count, 8, 4, 3))
    rows, columns = -(-spec.height // 8), -(-spec.width // 4)
    pictures = patches.repeat(rows, 1).repeat(columns, 2)[:, : spec.height, : spec.width]
    return np.clip(pictures + generator.normal(0, 12, pictures.shape), 0, 255).astype(np.uint8)


def min_cosine(rows: npt.NDArray[Any], reference: Float64) -> float:
    """The smallest over the crops."""
    rows = rows.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(reference, axis=1)
    return float(((rows * reference).sum(1) / norms).min())


def ceilings(clock: Clock) -> dict[str, float]:
    """What this device reaches: bytes/s of a large copy (read and written), FLOP/s of a bf16 product."""
    on_gpu = clock.device.type == "cuda"
    size, side = (2**31, 8192) if on_gpu else (2**22, 256)
    source = torch.randint(0, 255, (size,), dtype=torch.uint8, device=clock.device)
    target = torch.empty_like(source)
    a, b = (torch.randn(side, side, device=clock.device, dtype=torch.bfloat16) for _ in range(2))
    copy_s = clock.median_s(lambda: target.copy_(source), 0.2)
    product_s = clock.median_s(lambda: a @ b, 0.2)
    return {"copy_bytes_per_s": 2 * size / copy_s, "bf16_product_flops": 2 * side**3 / product_s}


class Report:
    """The figures so far, on disk after every one of them."""

    def __init__(self, path: Path | None, budget_s: float) -> None:
        self._path = path
        self._ends = time.monotonic() + budget_s
        self.content: dict[str, Any] = {"figures": [], "omitted": []}

    def left_s(self) -> float:
        return self._ends - time.monotonic()

    def add(self, **figure: Any) -> None:
        self.content["figures"].append(figure)
        self.save()
        print(
            f"{figure['model']:12} {figure['form']:34} {figure['what']:10} batch {figure['batch']:5} "
            + "  ".join(f"{name} {value:.6g}" for name, value in figure.items() if isinstance(value, float)),
            flush=True,
        )

    def omit(self, what: str, why: str) -> None:
        self.content["omitted"].append({"what": what, "why": why[:500]})
        self.save()
        print(f"omitted: {what}: {why[:200]}", flush=True)

    def save(self) -> None:
        if self._path is not None:
            write_text(self._path, json.dumps(self.content, indent=1) + "\n")


def measure(
    report: Report,
    clock: Clock,
    chip: Chip,
    subject: Subject,
    form: str,
    bind: Bind,
    batches: list[int],
    budget: float,
) -> None:
    """Device time of a form at each batch size, and its cosine to the reference on as many crops."""
    model = subject.card.architecture
    for batch in batches:
        if report.left_s() < 45:
            report.omit(f"{model} {form} batch {batch}", "out of time")
            continue
        try:
            run = bind(subject.batch(batch))
            took_s = clock.median_s(run, budget)
            report.add(
                model=model,
                form=form,
                what="device",
                batch=batch,
                ms=took_s * 1e3,
                images_per_s=batch / took_s,
                roofline_share=_floor_s(subject, batch, chip) / took_s,
                min_cosine=_cosine(subject, run),
            )
        except OutOfTimeError:
            raise
        except Exception as error:  # A form that fails must not end an unattended run.
            report.omit(f"{model} {form} batch {batch}", f"{type(error).__name__}: {error}")


def _floor_s(subject: Subject, batch: int, chip: Chip) -> float:
    """Of our form, scaled by the size of the crops."""
    share = subject.card.input.height * subject.card.input.width / (HEIGHT * WIDTH)
    return share * seconds(
        ours(architecture_config(subject.card.architecture), batch), batch, chip, expected=False
    )


def _cosine(subject: Subject, run: Run) -> float:
    rows = run().float().cpu().numpy()[: len(subject.crops)]
    return min_cosine(rows, subject.reference[: len(rows)])


def measure_host(
    report: Report,
    clock: Clock,
    subject: Subject,
    form: str,
    embed: Callable[[Any], Any],
    batches: list[int],
    calls: int,
) -> None:
    """Crops in the host's memory in, embeddings there out: p50 and p95 of a call's wall time."""
    for batch in batches:
        try:
            crops = np.resize(subject.crops, (batch, *subject.crops.shape[1:]))
            times = clock.wall_s(
                lambda crops=crops: embed(crops), calls if batch == 1 else max(5, calls // batch)
            )
            p50, p95 = np.percentile(times, [50, 95])
            report.add(
                model=subject.card.architecture, form=form, what="host", batch=batch,
                p50_ms=float(p50 * 1e3), p95_ms=float(p95 * 1e3), images_per_s=float(batch / p50),
            )  # fmt: skip
        except OutOfTimeError:
            raise
        except Exception as error:
            report.omit(
                f"{subject.card.architecture} {form} host batch {batch}", f"{type(error).__name__}: {error}"
            )


def measure_model(
    report: Report, clock: Clock, chip: Chip, subject: Subject, options: argparse.Namespace
) -> None:
    """Everything but torch.compile, quickest first."""
    batches, each = options.batches, options.seconds
    on_gpu = subject.device.type == "cuda"

    def device(form: str, bind: Bind) -> None:
        measure(report, clock, chip, subject, form, bind, batches, each)

    device("eager fp32", subject.eager)
    device("folded bf16, channels last", subject.folded_eager("bf16"))
    device("folded bf16, CUDA graph", subject.in_graph(subject.folded_eager("bf16")))
    ours_or_plain = "ours" if on_gpu else "plain in place of ours"
    for precision in ("bf16", "fp16"):
        form = f"{ours_or_plain} {precision}"
        try:
            network = _ours(subject, precision, options)
            device(f"{form}, CUDA graph", subject.in_graph(network.runner))
            measure_host(report, clock, subject, form, network.embed, batches, options.calls)
        except OutOfTimeError:
            raise
        except Exception as error:
            report.omit(f"{subject.card.architecture} ours {precision}", f"{type(error).__name__}: {error}")
    measure_host(report, clock, subject, "eager fp32", _host_eager(subject), batches, options.calls)
    if on_gpu and options.tensorrt:
        from omnireid.inference.backends.tensorrt import TensorRtBackend

        try:
            engine = TensorRtBackend(options.tensorrt)
            measure_host(report, clock, subject, "TensorRT", engine.embed, batches, options.calls)
        except Exception as error:
            report.omit("TensorRT", f"{type(error).__name__}: {error}")


def _ours(subject: Subject, precision: str, options: argparse.Namespace) -> GpuOSNet:
    # Our kernels do not run on a CPU: the dry run takes the plain form through the same calls.
    on_gpu = subject.device.type == "cuda"
    return GpuOSNet(
        subject.folded,
        subject.card.input,
        device=str(subject.device),
        precision=precision,  # type: ignore[arg-type]  # bf16 or fp16, see the loop
        engine="triton" if on_gpu else "eager",
        largest_batch=1 << (max(options.batches) - 1).bit_length(),
    )


def _host_eager(subject: Subject) -> Callable[[Any], Any]:
    return lambda crops: subject.readable(torch.from_numpy(crops).to(subject.device)).cpu().numpy()


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=list(MODELS), help="architectures with fresh weights")
    parser.add_argument("--weights", type=existing, help=".safetensors, instead of fresh weights")
    parser.add_argument("--batches", nargs="+", type=int, default=list(BATCHES))
    parser.add_argument("--compile-batches", nargs="*", type=int, default=[256, 1])
    parser.add_argument(
        "--tensorrt", type=existing, help="an .engine written by omnireid export, measured beside the rest"
    )
    parser.add_argument("--seconds", type=float, default=0.4, help="of measuring, for each figure")
    parser.add_argument("--calls", type=int, default=300, help="for the percentiles of latency")
    parser.add_argument("--budget", type=float, default=450, help="seconds after which the run ends")
    parser.add_argument("--out", type=new_file, default=RESULTS)
    parser.add_argument("--dry-run-cpu", action="store_true", help="tries this script itself; writes nothing")
    return parser


def shrink(options: argparse.Namespace) -> None:
    """As little as tries the script itself."""
    options.models, options.batches, options.compile_batches = ["osnet_x0_25"], [1, 2], []
    options.seconds, options.calls, options.out = 0.01, 5, None


def main() -> None:
    options = parser().parse_args()
    if not torch.cuda.is_available() and not options.dry_run_cpu:
        sys.exit(NO_GPU)
    if options.dry_run_cpu:
        shrink(options)
    device = torch.device("cpu" if options.dry_run_cpu else "cuda")
    report, clock = Report(options.out, options.budget), Clock(device)
    within_budget(report, options.budget, lambda: measure_all(report, clock, options))


def within_budget(report: Report, budget: float, work: Run) -> None:
    """Do the work for so many seconds at most, and write down that there was more."""
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.alarm(int(budget))
    try:
        work()
    except OutOfTimeError:
        report.omit("the rest", f"the budget of {budget:.0f} s was spent")
    signal.alarm(0)
    report.save()


@torch.inference_mode()
def measure_all(report: Report, clock: Clock, options: argparse.Namespace) -> None:
    limits = ceilings(clock)
    chip = Chip("here", limits["copy_bytes_per_s"], limits["bf16_product_flops"], H200.vector_flops)
    on_gpu = clock.device.type == "cuda"
    report.content |= {
        "device": torch.cuda.get_device_name() if on_gpu else "cpu (dry run)",
        "torch": torch.__version__,
        "environment": EnvironmentRecord.capture().model_dump(),
        "ceilings": limits,
        "expected_ms": {
            model: {
                batch: {form: s * 1e3 for form, s in predictions(model, batch).items()} for batch in BATCHES
            }
            for model in MODELS
        },
    }
    print(f"{report.content['device']}: {limits}", flush=True)
    size = (256, 128) if on_gpu else (64, 32)
    models = options.models if options.weights is None else options.models[:1]
    subjects = [Subject(model, options.weights, clock.device, size) for model in models]
    for subject in subjects:
        measure_model(report, clock, chip, subject, options)
    # Compiling takes minutes: last, and what matters most first.
    for batch in options.compile_batches:
        for subject in subjects:
            measure(
                report, clock, chip, subject, "torch.compile bf16, max-autotune", subject.compiled("bf16"),
                [batch], options.seconds,
            )  # fmt: skip


def _out_of_time(number: int, frame: FrameType | None) -> None:
    raise OutOfTimeError


if __name__ == "__main__":
    run(main)
