"""AMX for compiled functions: bfloat16 products of matrix tiles, empty functions where there are none."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types

from omnireid.inference.native.vectors import BYTES, HAS_MATRIX_TILES, I64, call, cgutils, operation


def matrix_tiles_are_allowed() -> bool:
    """Ask Linux for the registers of AMX, once in a process; a sandbox may refuse them."""
    arch_prctl, request_permission, tile_data = 158, 0x1023, 18
    try:
        return bool(ctypes.CDLL(None).syscall(arch_prctl, request_permission, tile_data) == 0)
    except (OSError, AttributeError):
        return False


def _matrix_instruction(generate_tiles: Callable[[Any, Any], None], *arguments: Any) -> Any:
    """A compiled function of these types of arguments; an empty one where there is no AMX."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if HAS_MATRIX_TILES:
            generate_tiles(builder, values)
        return context.get_dummy_value()

    return types.void(*arguments), generate


@operation
def configure_matrix_tiles(typing: Any, configuration: Any) -> Any:
    """Start using AMX in this thread, by the 64 bytes at an address."""
    return _matrix_instruction(
        lambda builder, arguments: call(builder, "llvm.x86.ldtilecfg", builder.inttoptr(arguments[0], BYTES)),
        types.int64,
    )


@operation
def release_matrix_tiles(typing: Any) -> Any:
    """Stop using AMX in this thread."""
    return _matrix_instruction(lambda builder, arguments: call(builder, "llvm.x86.tilerelease"))


def matrix_product(rows: int, columns: int) -> Any:
    """A bfloat16 product of 16 or 32 pixels with 16 or 32 channels in AMX tiles; rows and columns are 1 or 2.

    The compiled function takes (`Source`, address of the weights, `Target`), as `tile_product`: the length of
    a run counts steps of 32 elements, weights lie [run · step][column][16 pairs][16][2], and float32 sums are
    written to the target, without what else it says.
    """
    tile, tile_bytes = ir.IntType(8), 1024
    first_a, first_b = 4, 6

    def generate(builder: Any, arguments: Any) -> None:
        source, weights, target = arguments
        a, stride, runs, run_stride, steps = cgutils.unpack_tuple(builder, source)
        out, out_stride, *_ = cgutils.unpack_tuple(builder, target)
        sums = [[tile(2 * row + column) for column in range(columns)] for row in range(rows)]
        for line in sums:
            for number in line:
                call(builder, "llvm.x86.tilezero", number)
        panel = cgutils.alloca_once_value(builder, weights)
        with cgutils.for_range(builder, runs, intp=I64) as run:
            start = builder.add(a, builder.mul(run.index, run_stride))
            with cgutils.for_range(builder, steps, intp=I64) as step:
                here = builder.add(start, builder.mul(step.index, I64(64)))
                for row in range(rows):
                    line = builder.add(here, builder.mul(stride, I64(16 * row)))
                    rows_at = builder.inttoptr(line, BYTES)
                    call(builder, "llvm.x86.tileloadd64", tile(first_a + row), rows_at, stride)
                next_panel = builder.load(panel)
                for column in range(columns):
                    part = builder.inttoptr(builder.add(next_panel, I64(tile_bytes * column)), BYTES)
                    call(builder, "llvm.x86.tileloadd64", tile(first_b + column), part, I64(64))
                for row in range(rows):
                    for column in range(columns):
                        call(
                            builder,
                            "llvm.x86.tdpbf16ps",
                            sums[row][column],
                            tile(first_a + row),
                            tile(first_b + column),
                        )
                builder.store(builder.add(next_panel, I64(tile_bytes * columns)), panel)
        for row in range(rows):
            line = builder.add(out, builder.mul(out_stride, I64(16 * row)))
            for column in range(columns):
                where = builder.inttoptr(builder.add(line, I64(64 * column)), BYTES)
                call(builder, "llvm.x86.tilestored64", sums[row][column], where, out_stride)

    @operation
    def product(typing: Any, source: Any, weights: Any, target: Any) -> Any:
        return _matrix_instruction(generate, source, types.int64, target)

    return product
