"""Compile OSNet's Triton kernels for a GPU that need not be here, and read what they take of it.

python benchmarks/gpu_lowering.py --model osnet_x1_0 --batch 256 --all
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.pop("TRITON_INTERPRET", None)

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from omnireid.core.card import InputSpec
from omnireid.inference.fused.fold import fold
from omnireid.inference.fused.gpu import DTYPES
from omnireid.inference.fused.triton_plan import Plan
from omnireid.inference.fused.triton_tiles import Step, Tile
from omnireid.inference.fused.triton_weights import pack
from omnireid.models.registry import build_model

_POINTERS = {
    torch.uint8: "*u8",
    torch.int32: "*i32",
    torch.bfloat16: "*bf16",
    torch.float16: "*fp16",
    torch.float32: "*fp32",
}


@dataclass(frozen=True)
class Resources:
    """What one compiled kernel takes: bytes of shared memory, registers of a thread, bytes spilt from them.

    `wgmma` and `mma` count matrix instructions of Hopper and of older tensor cores, `wide_loads` the global
    loads of 16 bytes among `loads` (asynchronous copies into shared memory are all that wide).
    """

    step: str
    tile: Tile
    shared: int
    registers: int
    spilt: int
    wgmma: int
    mma: int
    loads: int
    wide_loads: int
    async_copies: int


def steps_of(model: str, batch: int, precision: str, *, every_tile: bool) -> list[Step]:
    """The launches of a network, on tensors without memory; with `every_tile` each in all its tiles."""
    network = build_model(model)
    folded = fold({name: values.numpy() for name, values in network.state_dict().items()}, network.config)
    spec = InputSpec()
    weights = pack(folded, spec, dtype=DTYPES[precision], device="meta")
    crops = torch.empty((batch, spec.height, spec.width, 3), dtype=torch.uint8, device="meta")
    others: list[Step] = []

    def choose(key: str, candidates: Sequence[Tile], make: Callable[[Tile], Step]) -> Tile:
        if every_tile:
            others.extend(make(tile) for tile in candidates[1:])
        return candidates[0]

    return Plan(weights, crops, choose=choose).steps + others


def compile_steps(steps: Sequence[Step], capability: int) -> list[Resources]:
    """Compile each different kernel once."""
    found: dict[str, Resources] = {}
    for step in steps:
        signature, constants, attributes = _specialise(step)
        key = f"{step.kernel.__name__} {signature} {constants} {attributes}"
        if key not in found:
            options = {name: step.tile[name] for name in ("num_warps", "num_stages")}
            compiled = triton.compile(
                ASTSource(step.kernel, signature, constants, attributes),
                target=GPUTarget("cuda", capability, 32),
                options=options,
            )
            found[key] = _resources(step, compiled)
    return list(found.values())


def _specialise(step: Step) -> tuple[dict[str, str], dict[str, Any], dict[Any, Any]]:
    """Types, constants and divisibility of a launch's arguments, as a launch on a device would find them."""
    arguments = dict(zip(step.kernel.arg_names, step.arguments, strict=False))
    fixed = step.constants | step.tile
    signature: dict[str, str] = {}
    constants: dict[str, Any] = {}
    attributes: dict[Any, Any] = {}
    for index, name in enumerate(step.kernel.arg_names):
        value = fixed[name] if name in fixed else arguments[name]
        # A one among the arguments is compiled in as well.
        if name in fixed or (isinstance(value, int) and value == 1):
            signature[name], constants[name] = "constexpr", value
            continue
        if isinstance(value, torch.Tensor):
            signature[name], is_multiple = _POINTERS[value.dtype], True
        else:
            signature[name], is_multiple = "i32" if value < 2**31 else "i64", value % 16 == 0
        if is_multiple:
            attributes[(index,)] = [["tt.divisibility", 16]]
    return signature, constants, attributes


def _resources(step: Step, compiled: Any) -> Resources:
    tools = Path(triton.__file__).parent / "backends/nvidia/bin"
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "kernel.cubin"
        cubin.write_bytes(compiled.asm["cubin"])
        command = [tools / "cuobjdump", "--dump-resource-usage", cubin]
        usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    numbers = {name: int(count) for name, count in re.findall(r"(REG|STACK|LOCAL):(\d+)", usage)}
    ptx = compiled.asm["ptx"]
    return Resources(
        step=step.name,
        tile=step.tile,
        shared=compiled.metadata.shared,
        registers=numbers["REG"],
        spilt=numbers["STACK"] + numbers["LOCAL"],
        wgmma=ptx.count("wgmma.mma_async"),
        mma=ptx.count("mma.sync"),
        loads=ptx.count("ld.global"),
        wide_loads=len(re.findall(r"ld\.global[.\w:]*\.v4\.b32", ptx)),
        async_copies=ptx.count("cp.async.cg"),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="osnet_x1_0")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--precision", choices=sorted(DTYPES), default="bf16")
    parser.add_argument("--capability", type=int, default=90, help="90 is Hopper, 80 an A100, 89 an RTX 4090")
    parser.add_argument("--all", action="store_true", help="every tile that the kernels may take")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    steps = steps_of(options.model, options.batch, options.precision, every_tile=options.all)
    compiled = compile_steps(steps, options.capability)
    if options.json:
        print(json.dumps([asdict(kernel) for kernel in compiled]))
        return
    print(
        f"{'step':18} {'shared':>7} {'regs':>5} {'spilt':>5} {'wgmma':>5} {'mma':>4} {'wide loads':>10} tile"
    )
    for kernel in compiled:
        print(
            f"{kernel.step:18} {kernel.shared:7} {kernel.registers:5} {kernel.spilt:5} {kernel.wgmma:5} "
            f"{kernel.mma:4} {kernel.wide_loads:5}/{kernel.loads:<4} {kernel.tile}"
        )


if __name__ == "__main__":
    main()
