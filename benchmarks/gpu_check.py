"""Everything that only a GPU can tell, in one run of at most eight minutes.

    python benchmarks/gpu_check.py           # writes results/gpu_check.json after every figure

In this order, what matters most first; what there was no time for is named in the file:

1. training steps of x1.0 and x0.25 in float32, bf16 and fp16 (with its scaled losses), channels first, as the
   reference implementation's users run them, and last; one that learns nothing or gives NaN is an error;
2. bytes to the device from ordinary and from pinned memory;
3. a run of the whole training loop, resumed, and over all GPUs where there are several;
4. the forms of `inference_gpu.py`, but for those that torch compiles;
5. exports that need a GPU (TensorRT), where the package is there;
6. training steps that torch compiles, which takes a minute each.

Ends with a word and exit code 1 where there is no GPU. --dry-run-cpu tries the script itself.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import nn

import inference_gpu
from inference_gpu import Clock, OutOfTimeError, Report
from omnireid.core.card import InputSpec, ModelCard
from omnireid.core.record import EnvironmentRecord
from omnireid.core.types import Dataset, Sample, Split
from omnireid.experiment.training import train_on
from omnireid.inference.export.exporter import export_model
from omnireid.inference.options import ExportForm
from omnireid.models.classifier import IdentityClassifier
from omnireid.models.registry import build_model
from omnireid.training.options import RunOptions
from omnireid.training.recipe import load_recipe
from options import new_file, run
from training import NUM_PIDS, write_pictures

RESULTS = Path(__file__).parent / "results" / "gpu_check.json"
MODELS = ("osnet_x1_0", "osnet_x0_25")
DTYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Step:
    """One training step on crops that lie on the device: forward, backward, AMSGrad."""

    def __init__(self, model: str, device: torch.device, batch: int, size: tuple[int, int]) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.network: nn.Module = IdentityClassifier(build_model(model), NUM_PIDS).to(device)
            self.images = torch.randn(batch, 3, *size, device=device)
            self.labels = torch.randint(0, NUM_PIDS, (batch,), device=device)
        self.device = device
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), lr=0.0015, weight_decay=5e-4, amsgrad=True, fused=True
        )

    def channels_last(self) -> Step:
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # typed for tensors
        self.images = self.images.contiguous(memory_format=torch.channels_last)
        return self

    def compiled(self) -> Step:
        self.network = torch.compile(self.network)  # type: ignore[assignment]  # called as a module
        return self

    def runner(self, precision: str) -> Callable[[], None]:
        dtype = DTYPES[precision]
        scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "fp16")

        def step() -> None:
            with torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
                _, logits = self.network(self.images)[:2]
            loss = nn.functional.cross_entropy(logits.float(), self.labels, label_smoothing=0.1)
            self.optimiser.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
            scaler.step(self.optimiser)
            scaler.update()
            self._loss = loss

        return step

    def check(self, first: float) -> None:
        """Refuse a form that computes nonsense.

        Raises:
            RuntimeError: the loss is not finite, or did not fall on the one batch it was trained on.
        """
        if not self.loss < first:
            raise RuntimeError(f"the loss went from {first:.3f} to {self.loss:.3f} on one batch")

    @property
    def loss(self) -> float:
        return float(self._loss.detach())


def measure_steps(report: Report, clock: Clock, options: Namespace) -> None:
    _measure_steps(report, clock, options, ("channels first", "channels last"))


def measure_compiled_steps(report: Report, clock: Clock, options: Namespace) -> None:
    _measure_steps(report, clock, options, ("channels last, compiled",) if options.compile else ())


def _measure_steps(report: Report, clock: Clock, options: Namespace, layouts: tuple[str, ...]) -> None:
    for precision, layout in product(DTYPES, layouts):
        for model in options.models:
            name = f"train step {precision}, {layout}"
            with attempt(report, f"{model} {name}"):
                step = Step(model, clock.device, options.batch, options.size)
                step = step if layout == "channels first" else step.channels_last()
                step = step.compiled() if "compiled" in layout else step
                once = step.runner(precision)
                once()
                first = step.loss
                took_s = clock.median_s(once, options.seconds)
                step.check(first)
                report.add(
                    model=model, form=name, what="device", batch=options.batch,
                    ms=took_s * 1e3, images_per_s=options.batch / took_s,
                )  # fmt: skip


def measure_copies(report: Report, clock: Clock, options: Namespace) -> None:
    """A batch of crops to the device, from memory as the loader has it, and from pinned memory."""
    crops = torch.randint(0, 255, (options.batch, *options.size, 3), dtype=torch.uint8)
    for name in ("pageable", "pinned"):
        with attempt(report, f"copy from {name} memory"):
            source = crops.pin_memory() if name == "pinned" else crops
            took_s = clock.median_s(
                lambda source=source: source.to(clock.device, non_blocking=True), options.seconds
            )
            report.add(
                model="-", form=f"copy from {name} memory", what="device", batch=options.batch,
                ms=took_s * 1e3, bytes_per_s=crops.numel() / took_s,
            )  # fmt: skip


def measure_loop(report: Report, clock: Clock, options: Namespace) -> None:
    """The loop that users run, interrupted by nothing and resumed; then over all GPUs there are."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = write_pictures(folder, options.pictures).samples
        samples = tuple(Sample(one.path, one.pid // 4, one.camid) for one in pictures)
        data = Dataset("random", name, Split("train", samples), Split("query", ()), Split("gallery", ()))
        counts = {1, torch.cuda.device_count() if clock.device.type == "cuda" else 2}
        for devices in sorted(counts):
            for precision in ("32-true", "16-mixed"):
                form = f"loop {precision}, {devices} devices"
                with attempt(report, form):
                    changes = {
                        "model": options.models[-1],
                        "epochs": 2,
                        "precision": precision,
                        "sampler.batch_size": options.batch,
                        "sync_batch_norm": True,
                        "input": dict(zip(("height", "width"), options.size, strict=True)),
                    }
                    out, running = folder / form, RunOptions(device=clock.device.type, devices=devices)
                    train_on(load_recipe("quickstart", changes), data, out, running)
                    longer = load_recipe("quickstart", {**changes, "epochs": 3})
                    resumed = RunOptions(device=clock.device.type, devices=devices, resume=True)
                    last = train_on(longer, data, out, resumed).record.history[-1]
                    report.add(
                        model=options.models[-1], form=form, what="loop", batch=options.batch,
                        images_per_s=last["images_per_second"], waiting=last["data_wait_share"],
                    )  # fmt: skip


def measure_exports(report: Report, clock: Clock, options: Namespace) -> None:
    """TensorRT's build and its distance from torch, which export itself checks."""
    with tempfile.TemporaryDirectory() as name, attempt(report, "export to TensorRT"):
        height, width = options.size
        card = ModelCard(
            name=options.models[-1],
            architecture=options.models[-1],
            input=InputSpec(height=height, width=width),
        )
        exported = export_model(
            build_model(options.models[-1]).eval(),
            card,
            Path(name) / "model.engine",
            ExportForm(format="tensorrt"),
        )
        report.content["tensorrt"] = repr(exported)
        report.save()


@contextmanager
def attempt(report: Report, what: str) -> Iterator[None]:
    """Go on after what fails, and write down why; omit what there is no time for."""
    try:
        yield
    except OutOfTimeError:
        raise
    except Exception as error:  # What fails must not end an unattended run.
        report.omit(what, f"{type(error).__name__}: {error}")


def measure_inference(report: Report, clock: Clock, options: Namespace) -> None:
    inference_gpu.measure_all(report, clock, options.inference)


PARTS: tuple[Callable[[Report, Clock, Any], None], ...] = (
    measure_steps,
    measure_copies,
    measure_loop,
    measure_inference,
    measure_exports,
    measure_compiled_steps,
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budget", type=int, default=480, help="seconds after which the run ends")
    parser.add_argument("--out", type=new_file, default=RESULTS)
    parser.add_argument("--dry-run-cpu", action="store_true", help="tries this script itself; writes nothing")
    options = parser.parse_args()
    if not torch.cuda.is_available() and not options.dry_run_cpu:
        sys.exit(inference_gpu.NO_GPU)
    device = torch.device("cpu" if options.dry_run_cpu else "cuda")
    options.models, options.batch, options.size = list(MODELS), 64, (256, 128)
    options.seconds, options.pictures, options.compile = 0.4, 2048, True
    options.inference = inference_gpu.parser().parse_args(["--compile-batches"])
    if options.dry_run_cpu:
        options.models, options.batch, options.size = ["osnet_x0_25"], 4, (64, 32)
        options.seconds, options.pictures, options.compile, options.out = 0.01, 8, False, None
        inference_gpu.shrink(options.inference)
    report = Report(options.out, options.budget)
    report.content["environment"] = EnvironmentRecord.capture().model_dump()
    inference_gpu.within_budget(
        report, options.budget, lambda: [part(report, Clock(device), options) for part in PARTS]
    )


if __name__ == "__main__":
    run(main)
