"""OSNet on this machine's processor: torch, ONNX Runtime and OpenVINO beside ours, in one run.

    python benchmarks/inference.py [--models osnet_x1_0 osnet_x0_25] [--batches 1 32] [--no-compile]

Prints a table for each model and batch and writes benchmarks/results/inference.json. All forms of one
network take turns, a block of about half a second each, with a pause in between, because the threads of some
runtimes go on spinning for a while. Shown are the median over the blocks and the fastest call. torch gets
crops that are normalised already, the others uint8. "wanted" is 1.25 times the best of the others in the same
precision; bf16x3, float32 split into bfloat16, counts as fp32, because it passes its gate.
Runtimes are used as their users do: default options, a fixed batch for OpenVINO, threads as many as cores.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from rich.console import Console
from rich.table import Table

from omnireid.core.card import InputSpec
from omnireid.core.images import normalise
from omnireid.core.machine import available_cores
from omnireid.core.record import EnvironmentRecord
from omnireid.inference.backends.native import NativeBackend
from omnireid.inference.backends.onnx_runtime import OnnxBackend
from omnireid.inference.backends.openvino import OpenVinoBackend, import_openvino
from omnireid.inference.export.deployed import choose_form, deployed
from omnireid.inference.export.native import measure_ranges
from omnireid.inference.export.onnx import onnx_graph
from omnireid.inference.export.parity import generated_crops
from omnireid.inference.export.quantise import quantise
from omnireid.inference.fused.module import FusedOSNet, fold_module
from omnireid.inference.native.precision import missing_for
from omnireid.models.cards import model_card
from omnireid.models.complexity import complexity
from omnireid.models.osnet import OSNet
from omnireid.models.registry import build_model
from options import new_file, run

RESULTS = Path(__file__).parent / "results" / "inference.json"
SPEC = InputSpec()
PAUSE_S = 0.05
GOAL = 1.25

Embed = Callable[[np.ndarray], np.ndarray]


def uneven_network(name: str) -> OSNet:
    """Weights drawn by a rule, with batch norms that do something."""
    generator = torch.Generator().manual_seed(1)
    network = build_model(name)
    network.initialise(generator)
    with torch.no_grad():
        for key, values in network.state_dict().items():
            if key.endswith(("running_var", "bn.weight", "fc.1.weight")):
                values.copy_(torch.rand(values.shape, generator=generator) + 0.5)
            elif key.endswith(("running_mean", "bn.bias", "fc.1.bias")):
                values.copy_(torch.randn(values.shape, generator=generator) * 0.1)
    return network.eval()


def torch_forms(network: OSNet, batch: int, *, with_compile: bool) -> dict[str, tuple[str, Embed]]:
    """Name → (precision, embed)."""
    folded = FusedOSNet(fold_module(network), batch_streams=False).to(memory_format=torch.channels_last)
    halved = FusedOSNet(fold_module(network), batch_streams=False, dtype=torch.bfloat16)
    halved = halved.to(memory_format=torch.channels_last)

    def runner(module: Callable[[torch.Tensor], torch.Tensor], **kind: Any) -> Embed:
        prepared: dict[int, torch.Tensor] = {}

        def embed(crops: np.ndarray) -> np.ndarray:
            if id(crops) not in prepared:
                prepared.clear()
                prepared[id(crops)] = torch.from_numpy(normalise(crops, SPEC)).to(**kind)
            with torch.inference_mode():
                return module(prepared[id(crops)]).float().numpy()

        return embed

    last = {"memory_format": torch.channels_last}
    forms = {
        "torch eager": ("fp32", runner(network)),
        "torch folded, channels-last": ("fp32", runner(folded, **last)),
        "torch folded, channels-last, bf16": ("bf16", runner(halved, dtype=torch.bfloat16, **last)),
    }
    if with_compile:
        torch._inductor.config.freezing = True
        compiled, half_compiled = torch.compile(folded), torch.compile(halved)
        forms["torch.compile"] = ("fp32", runner(compiled, **last))
        forms["torch.compile, bf16"] = ("bf16", runner(half_compiled, dtype=torch.bfloat16, **last))
    return forms


def runtime_forms(graph: bytes, quantised: bytes, batch: int, threads: int) -> dict[str, tuple[str, Embed]]:
    """ONNX Runtime and OpenVINO as their users call them."""
    openvino = import_openvino("OpenVINO")

    def onnx_form(content: bytes) -> Embed:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return lambda crops: np.asarray(session.run(["embedding"], {"images": crops})[0])

    core = openvino.Core()

    def openvino_form(content: bytes, precision: str) -> Embed:
        model = core.read_model(content)
        model.reshape({model.inputs[0]: [batch, SPEC.height, SPEC.width, 3]})
        embedding = model.output("embedding")
        only = openvino.Model([embedding.node.input_value(0)], model.get_parameters(), "embedding")
        options = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        request = core.compile_model(only, "CPU", options).create_infer_request()
        return lambda crops: np.asarray(request.infer({0: crops}, share_inputs=True)[0])

    return {
        "ONNX Runtime": ("fp32", onnx_form(graph)),
        "OpenVINO": ("fp32", openvino_form(graph, "f32")),
        "OpenVINO, bf16": ("bf16", openvino_form(graph, "bf16")),
        "ONNX Runtime, int8": ("int8", onnx_form(quantised)),
        "OpenVINO, int8": ("int8", openvino_form(quantised, "f32")),
    }


def our_forms(network: OSNet, name: str, quantised: bytes, threads: int) -> dict[str, tuple[str, Embed]]:
    """Our engine in every precision of this processor, and our int8 file in our two runtime backends."""
    folded, card = fold_module(network), model_card(name)
    forms: dict[str, tuple[str, Embed]] = {}
    ranges = measure_ranges(folded, SPEC, generated_crops(64, SPEC, seed=1))
    for precision, counts_as in (("fp32", "fp32"), ("bf16x3", "fp32"), ("bf16", "bf16"), ("int8", "int8")):
        if not missing_for(precision):
            backend = NativeBackend(folded, card, threads=threads, precision=precision, ranges=ranges)
            forms[f"ours, {precision}"] = (counts_as, backend.embed)
    for backend_type in (OnnxBackend, OpenVinoBackend):
        backend = backend_type(quantised, threads=threads, label="int8")
        forms[f"ours, int8 in {backend_type.name}"] = ("int8", backend.embed)
    return forms


def measure(
    forms: dict[str, tuple[str, Embed]], crops: np.ndarray, *, rounds: int, block_s: float
) -> dict[str, dict[str, float]]:
    """Milliseconds of a call: median over blocks of their medians, and the fastest call."""
    blocks: dict[str, list[float]] = {name: [] for name in forms}
    fastest = dict.fromkeys(forms, float("inf"))
    for _, embed in forms.values():
        for _ in range(3):
            embed(crops)
    for _ in range(rounds):
        for name, (_, embed) in forms.items():
            time.sleep(PAUSE_S)
            calls: list[float] = []
            end = time.perf_counter() + block_s
            while len(calls) < 3 or time.perf_counter() < end:
                start = time.perf_counter()
                embed(crops)
                calls.append(time.perf_counter() - start)
            blocks[name].append(statistics.median(calls))
            fastest[name] = min(fastest[name], *calls)
    return {
        name: {"median_ms": 1e3 * statistics.median(blocks[name]), "fastest_ms": 1e3 * fastest[name]}
        for name in forms
    }


def ceilings(rounds: int = 15) -> dict[str, float]:
    """GFLOP/s of the best large matrix product that is at hand, in float32 and bfloat16."""
    size = 2048
    a = np.random.default_rng(0).standard_normal((size, size)).astype(np.float32)
    b = torch.from_numpy(a).bfloat16()
    found = {}
    products: dict[str, list[Callable[[], Any]]] = {
        "fp32": [lambda: a @ a, lambda: torch.from_numpy(a) @ torch.from_numpy(a)],
        "bf16": [lambda: b @ b],
    }
    for precision, ways in products.items():
        best = float("inf")
        for way in ways:
            way()
            for _ in range(rounds):
                start = time.perf_counter()
                way()
                best = min(best, time.perf_counter() - start)
        found[precision] = 2e-9 * size**3 / best
    return found


def cosines(forms: dict[str, tuple[str, Embed]], network: OSNet, batch: int) -> dict[str, float]:
    """Smallest cosine to the network in float64."""
    crops = generated_crops(32, SPEC, seed=5)
    with torch.inference_mode():
        exact = network.double()(torch.from_numpy(normalise(crops, SPEC)).double()).numpy()
    network.float()
    found = {}
    for name, (_, embed) in forms.items():
        rows = np.concatenate([embed(crops[i : i + batch]).copy() for i in range(0, len(crops), batch)])
        rows = rows.astype(np.float64)
        sims = (rows * exact).sum(1) / (np.linalg.norm(rows, axis=1) * np.linalg.norm(exact, axis=1))
        found[name] = float(sims.min())
    return found


def measure_network(
    name: str, batch: int, ceiling: dict[str, float], arguments: argparse.Namespace
) -> dict[str, Any]:
    """All forms of one network at one batch."""
    threads = arguments.threads
    network, card = uneven_network(name), model_card(name)
    gflop = 2e-9 * complexity(network, SPEC.height, SPEC.width).mult_adds
    graph = onnx_graph(deployed(network, card, form=choose_form(network, "onnx"), normalised=False), SPEC)
    quantised = quantise(graph, generated_crops(64, SPEC, seed=1)).bytes
    forms = torch_forms(network, batch, with_compile=not arguments.no_compile)
    forms |= runtime_forms(graph, quantised, batch, threads)
    forms |= our_forms(network, name, quantised, threads)
    crops = generated_crops(batch, SPEC, seed=2)
    closeness = cosines(forms, network, batch)
    times = measure(forms, crops, rounds=arguments.rounds, block_s=arguments.block_s)
    rows = []
    for form, (precision, _) in forms.items():
        rate = 1e3 * batch / times[form]["median_ms"]
        share = rate * gflop / ceiling["fp32" if precision == "fp32" else "bf16"]
        rows.append(
            {
                "form": form,
                "precision": precision,
                "ours": form.startswith("ours"),
                **times[form],
                "images_per_s": rate,
                "fastest_images_per_s": 1e3 * batch / times[form]["fastest_ms"],
                "share_of_ceiling": share,
                "min_cosine": closeness[form],
            }
        )
    torch._dynamo.reset()
    gc.collect()
    return {"model": name, "batch": batch, "gflop": gflop, "forms": rows, "goals": goals(rows)}


def goals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each precision: the best of the others, the best of ours, and their ratio beside the wanted one."""
    found = []
    for precision in ("fp32", "bf16", "int8"):
        others = [row for row in rows if row["precision"] == precision and not row["ours"]]
        mine = [row for row in rows if row["precision"] == precision and row["ours"]]
        if not others or not mine:
            continue
        best, own = (max(group, key=lambda row: row["images_per_s"]) for group in (others, mine))
        found.append(
            {
                "precision": precision,
                "best_other": best["form"],
                "best_own": own["form"],
                "ratio": own["images_per_s"] / best["images_per_s"],
                "ratio_of_fastest_calls": own["fastest_images_per_s"]
                / max(row["fastest_images_per_s"] for row in others),
                "wanted": GOAL,
            }
        )
    return found


def show(result: dict[str, Any], console: Console) -> None:
    table = Table(title=f"{result['model']}, batch {result['batch']}")
    for heading in ("form", "precision", "images/s", "fastest", "ms a call", "of ceiling", "min cosine"):
        table.add_column(heading, justify="left" if heading == "form" else "right")
    for row in result["forms"]:
        table.add_row(
            row["form"],
            row["precision"],
            f"{row['images_per_s']:,.0f}",
            f"{row['fastest_images_per_s']:,.0f}",
            f"{row['median_ms']:.2f}",
            f"{100 * row['share_of_ceiling']:.0f} %",
            f"{row['min_cosine']:.7f}",
        )
    console.print(table)
    for goal in result["goals"]:
        console.print(
            f"{goal['precision']}: {goal['best_own']} makes {goal['ratio']:.2f} times {goal['best_other']} "
            f"(fastest calls {goal['ratio_of_fastest_calls']:.2f}; wanted {goal['wanted']})",
            markup=False,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=["osnet_x1_0", "osnet_x0_25"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 32])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--block-s", type=float, default=0.5)
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out (minutes)")
    parser.add_argument("--out", type=new_file, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    console = Console(width=110)
    ceiling = ceilings()
    console.print({name: f"{value:.0f} GFLOP/s" for name, value in ceiling.items()})
    results = []
    for name in arguments.models:
        for batch in arguments.batches:
            results.append(measure_network(name, batch, ceiling, arguments))
            show(results[-1], console)
    record = {
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "ceilings_gflops": ceiling,
        "results": results,
        "environment": EnvironmentRecord.capture().model_dump(mode="json"),
    }
    arguments.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
