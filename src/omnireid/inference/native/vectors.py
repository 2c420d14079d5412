"""Vector registers, tile products and atomics for compiled functions.

numba vectorises loops on its own, but not so that a tile of a matrix product stays in registers. Here are
the few operations that it needs for that, as LLVM instructions: they exist for every processor with vectors
of 4, 8 or 16 floats, and what only some have (bfloat16 products, matrix tiles) is asked for by `FEATURES`.
Import it inside functions: numba takes half a second.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Callable
from typing import Any, Literal

from llvmlite import ir
from numba import config, types
from numba.core import cgutils as numba_cgutils
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic, models, register_model


def _features() -> frozenset[str]:
    """Of the processor that numba compiles for: this one, unless NUMBA_CPU_FEATURES names another's."""
    chosen: str | None = getattr(config, "CPU_FEATURES", None)
    names = chosen or str(get_host_cpu_features())  # type: ignore[no-untyped-call]
    return frozenset(name[1:] for name in names.split(",") if name.startswith("+"))


FEATURES = _features()

LANES = 16 if "avx512f" in FEATURES else 8 if {"avx2", "fma"} <= FEATURES else 4
"""float32 values in one vector register."""

HAS_FAST_FLOAT32 = LANES > 4 or platform.machine().lower() in ("aarch64", "arm64")
HAS_BFLOAT16_DOT = LANES == 16 and "avx512bf16" in FEATURES
HAS_BYTE_DOT = LANES == 16 and "avx512vnni" in FEATURES
_HAS_AMX = LANES == 16 and {"amx-tile", "amx-bf16"} <= FEATURES

CHANNELS = 16
"""Channels are padded to a multiple of this, whatever the vectors' size."""

# Width of a tile in channels → its height in pixels, such that the sums fill the registers.
TILES = {64: 6, 48: 8, 32: 12, 16: 16} if LANES == 16 else {16: 6}

cgutils: Any = numba_cgutils  # numba's parts have no types that checkers understand
_operation: Callable[[Any], Any] = intrinsic

_F32 = ir.FloatType()
_I8, _I16, _I32, _I64 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)
_BYTES = ir.PointerType(ir.IntType(8))
_VECTOR = ir.VectorType(_F32, LANES)
_WORDS = ir.VectorType(_I32, LANES)
_ZERO = ir.Constant(_VECTOR, [0.0] * LANES)
_ROUND_TO_WHOLE = 2.0**23  # added to a float32 of 0 to 255: its last byte is that number, rounded to even


class _BFloat16(ir.Type):  # type: ignore[misc]
    """LLVM's bfloat, which llvmlite does not have."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat16)

    def __hash__(self) -> int:
        return hash(_BFloat16)


class _Vector(types.Type):
    """numba's type of one vector register."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{LANES}")


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, _VECTOR)  # type: ignore[no-untyped-call]


vector = _Vector()


def _element(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


def _load(builder: Any, where: Any, size: int) -> Any:
    """LANES elements of `size` bytes: float32, bfloat16 or whole numbers from 0 to 255."""
    if size == 4:
        return builder.load(builder.bitcast(where, ir.PointerType(_VECTOR)), align=4)
    kind = ir.VectorType(ir.IntType(8 * size), LANES)
    value = builder.zext(builder.load(builder.bitcast(where, ir.PointerType(kind)), align=size), _WORDS)
    if size == 1:
        return builder.sitofp(value, _VECTOR)
    return builder.bitcast(builder.shl(value, ir.Constant(_WORDS, [16] * LANES)), _VECTOR)


def _store(builder: Any, where: Any, value: Any, size: int) -> None:
    """The opposite; bytes take what is not negative, and 255 for what is above."""
    if size == 2:
        value = builder.fptrunc(value, ir.VectorType(_BFloat16(), LANES))
    elif size == 1:
        most = ir.Constant(_VECTOR, [255.0] * LANES)
        value = builder.select(builder.fcmp_ordered("<", value, most), value, most)
        value = builder.fadd(value, ir.Constant(_VECTOR, [_ROUND_TO_WHOLE] * LANES))
        value = builder.trunc(builder.bitcast(value, _WORDS), ir.VectorType(_I8, LANES))
    builder.store(value, builder.bitcast(where, ir.PointerType(value.type)), align=size)


@_operation
def load(typing: Any, array: Any, index: Any) -> Any:
    """LANES consecutive elements; those of a uint16 array are bfloat16, of a uint8 array whole numbers."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        where = _element(context, builder, signature.args[0], *arguments)
        return _load(builder, where, signature.args[0].dtype.bitwidth // 8)

    return vector(array, types.int64), generate


@_operation
def store(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Write LANES elements; into a uint16 array as bfloat16, into a uint8 array as whole numbers from 0 to
    255; rounded to the nearest."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        where = _element(context, builder, signature.args[0], *arguments[:2])
        _store(builder, where, arguments[2], signature.args[0].dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), generate


def _load_at(size: int) -> Any:
    @_operation
    def operation(typing: Any, where: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return _load(builder, builder.inttoptr(arguments[0], _BYTES), size)

        return vector(types.int64), generate

    return operation


def _store_at(size: int) -> Any:
    @_operation
    def operation(typing: Any, where: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _store(builder, builder.inttoptr(arguments[0], _BYTES), arguments[1], size)
            return context.get_dummy_value()

        return types.void(types.int64, vector), generate

    return operation


# LANES values at an address; stored bfloat16 and bytes are rounded to the nearest.
load_float32, load_bfloat16, load_byte = _load_at(4), _load_at(2), _load_at(1)
store_float32, store_bfloat16, store_byte = _store_at(4), _store_at(2), _store_at(1)


@_operation
def get_float(typing: Any, array: Any, index: Any) -> Any:
    """One element as float32; that of a uint16 array is bfloat16, of a uint8 array a whole number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = builder.load(_element(context, builder, signature.args[0], *arguments))
        if signature.args[0].dtype == types.float32:
            return value
        if signature.args[0].dtype == types.uint8:
            return builder.uitofp(value, _F32)
        return builder.bitcast(builder.shl(builder.zext(value, _I32), _I32(16)), _F32)

    return types.float32(array, types.int64), generate


@_operation
def set_float(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Write one float32; into a uint16 array as bfloat16, rounded to the nearest; a whole number of 0 to 255
    into a uint8 array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        where = _element(context, builder, signature.args[0], *arguments[:2])
        value = arguments[2]
        if signature.args[0].dtype == types.uint8:
            value = builder.fptoui(value, _I8)
        elif signature.args[0].dtype != types.float32:
            value = builder.fptrunc(value, _BFloat16())
        builder.store(value, builder.bitcast(where, ir.PointerType(value.type)))
        return context.get_dummy_value()

    return types.void(array, types.int64, types.float32), generate


@_operation
def splat(typing: Any, value: Any) -> Any:
    """One float32 in every lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _splat(builder, arguments[0])

    return vector(types.float32), generate


@_operation
def multiply_add(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a · b + c, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _multiply_add(builder, *arguments)

    return vector(vector, vector, vector), generate


def _of_two(instruction: Callable[[Any, Any, Any], Any]) -> Any:
    @_operation
    def operation(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return instruction(builder, *arguments)

        return vector(vector, vector), generate

    return operation


add = _of_two(lambda builder, a, b: builder.fadd(a, b))
subtract = _of_two(lambda builder, a, b: builder.fsub(a, b))
multiply = _of_two(lambda builder, a, b: builder.fmul(a, b))
divide = _of_two(lambda builder, a, b: builder.fdiv(a, b))
maximum = _of_two(lambda builder, a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b))


@_operation
def where_positive(typing: Any, condition: Any, value: Any) -> Any:
    """A value where the condition is above 0, and 0 elsewhere."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", arguments[0], _ZERO), arguments[1], _ZERO)

    return vector(vector, vector), generate


@_operation
def where_equal(typing: Any, a: Any, b: Any, value: Any) -> Any:
    """A value where a is b, and 0 elsewhere."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b, value = arguments
        return builder.select(builder.fcmp_ordered("==", a, b), value, _ZERO)

    return vector(vector, vector, vector), generate


@_operation
def square_root(typing: Any, a: Any) -> Any:
    """Of each lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{LANES}f32")
        return builder.call(function, arguments)

    return vector(vector), generate


def _splat(builder: Any, value: Any) -> Any:
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, value, _I32(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, LANES), [0] * LANES))


def _multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    signature = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
    function = cgutils.get_or_insert_function(builder.module, signature, f"llvm.fma.v{LANES}f32")
    return builder.call(function, [a, b, c])


def _dot_bfloat16(builder: Any, pairs: Any, weights: Any, sums: Any) -> Any:
    halves = ir.VectorType(_BFloat16(), 2 * LANES)
    signature = ir.FunctionType(_VECTOR, [_VECTOR, halves, halves])
    name = f"llvm.x86.avx512bf16.dpbf16ps.{32 * LANES}"
    function = cgutils.get_or_insert_function(builder.module, signature, name)
    return builder.call(function, [sums, builder.bitcast(pairs, halves), builder.bitcast(weights, halves)])


def _dot_bytes(builder: Any, quads: Any, weights: Any, sums: Any) -> Any:
    """Four unsigned bytes by four signed ones in each lane, added to int32."""
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_WORDS, [_WORDS] * 3), f"llvm.x86.avx512.vpdpbusd.{32 * LANES}"
    )
    arguments = [builder.bitcast(value, _WORDS) for value in (sums, quads, weights)]
    return builder.bitcast(builder.call(function, arguments), _VECTOR)


Numbers = Literal["fp32", "bf16", "int8"]
_DOTS = {"fp32": _multiply_add, "bf16": _dot_bfloat16, "int8": _dot_bytes}
_HAS = {"fp32": True, "bf16": HAS_BFLOAT16_DOT, "int8": HAS_BYTE_DOT}


@_operation
def address(typing: Any, array: Any, index: Any) -> Any:
    """Where an element lies in memory."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ptrtoint(_element(context, builder, signature.args[0], *arguments), _I64)

    return types.int64(array, types.int64), generate


def _at(builder: Any, where: Any, kind: Any) -> Any:
    return builder.inttoptr(where, ir.PointerType(kind))


def _column_at(builder: Any, line: Any, column: int) -> Any:
    """Pointer to a vector of a line of float32."""
    return _at(builder, builder.add(line, _I64(4 * LANES * column)), _VECTOR)


def tile_product(pixels: int, channels: int, numbers: Numbers = "fp32", *, transposed: bool = False) -> Any:
    """A product of `pixels` rows with `channels` columns of weights that stays in registers.

    The compiled function takes (`Source`, address of the weights, `Target`), see `products`. It writes, for
    each pixel p, out[p] = bias + Σ_r Σ_k a[p, r, k] · weights[r, k] (+ residual[p]), through ReLU where relu
    is 1. Bias and residual are left out where their address is 0. Runs are stretches of a that lie apart: one
    for a 1×1 convolution, one a row of the window for others. With bfloat16, a and the weights are pairs of
    bfloat16, and the length counts pairs; bias, out and residual are float32 all the same. Where the
    processor has no such product, the function does nothing.

    Transposed, the sum is over pixels: out[c] = Σ_k a[k, c] · weights[k] for `pixels` channels c of a. The
    stride is that of a's pixels, run_stride that of the weights' lines, and there is one run.
    """
    count = channels // LANES

    @_operation
    def product(typing: Any, source: Any, weights: Any, target: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            source, weights, target = arguments
            a, stride, runs, run_stride, length = cgutils.unpack_tuple(builder, source)
            out, out_stride, bias, residual, residual_stride, relu = cgutils.unpack_tuple(builder, target)
            if not _HAS[numbers]:
                return context.get_dummy_value()
            sums = [[cgutils.alloca_once_value(builder, _ZERO) for _ in range(count)] for _ in range(pixels)]
            with builder.if_then(builder.icmp_signed("!=", bias, _I64(0))):
                for column in range(count):
                    value = builder.load(_column_at(builder, bias, column), align=4)
                    for row in range(pixels):
                        builder.store(value, sums[row][column])
            panel = cgutils.alloca_once_value(builder, weights)
            row_stride, step_stride, line_stride = stride, _I64(4), _I64(4 * channels)
            if transposed:
                row_stride, step_stride, line_stride = step_stride, stride, run_stride
            rows = [builder.add(a, builder.mul(row_stride, _I64(row))) for row in range(pixels)]
            with cgutils.for_range(builder, runs, intp=_I64) as run:
                start = builder.mul(run.index, run_stride)
                starts = [builder.add(row, start) for row in rows]
                first = builder.load(panel)
                with cgutils.for_range(builder, length, intp=_I64) as step:
                    here = builder.add(first, builder.mul(step.index, line_stride))
                    columns = [
                        builder.load(_column_at(builder, here, column), align=4) for column in range(count)
                    ]
                    for row in range(pixels):
                        scalar = _at(
                            builder, builder.add(starts[row], builder.mul(step.index, step_stride)), _F32
                        )
                        value = _splat(builder, builder.load(scalar, align=4))
                        for column in range(count):
                            old = builder.load(sums[row][column])
                            new = _DOTS[numbers](builder, value, columns[column], old)
                            builder.store(new, sums[row][column])
                builder.store(builder.add(first, builder.mul(length, _I64(4 * channels))), panel)
            if numbers == "int8":
                for total in (total for row in sums for total in row):
                    whole = builder.bitcast(builder.load(total), _WORDS)
                    builder.store(builder.sitofp(whole, _VECTOR), total)
            with builder.if_then(builder.icmp_signed("!=", residual, _I64(0))):
                for row in range(pixels):
                    line = builder.add(residual, builder.mul(residual_stride, _I64(row)))
                    for column in range(count):
                        value = builder.load(_column_at(builder, line, column), align=4)
                        builder.store(builder.fadd(builder.load(sums[row][column]), value), sums[row][column])
            with builder.if_then(builder.icmp_signed("!=", relu, _I64(0))):
                for row in range(pixels):
                    for column in range(count):
                        value = builder.load(sums[row][column])
                        positive = builder.select(builder.fcmp_ordered(">", value, _ZERO), value, _ZERO)
                        builder.store(positive, sums[row][column])
            for row in range(pixels):
                line = builder.add(out, builder.mul(out_stride, _I64(row)))
                for column in range(count):
                    where = _column_at(builder, line, column)
                    builder.store(builder.load(sums[row][column]), where, align=4)
            return context.get_dummy_value()

        return types.void(source, types.int64, target), generate

    return product


def _call(builder: Any, name: str, *arguments: Any) -> None:
    signature = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
    builder.call(cgutils.get_or_insert_function(builder.module, signature, name), arguments)


HAS_MATRIX_TILES = _HAS_AMX and sys.platform == "linux"
"""AMX: products of 16×32 by 32×16 bfloat16 in one instruction. Kept code is compiled with it or without."""


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


@_operation
def configure_matrix_tiles(typing: Any, configuration: Any) -> Any:
    """Start using AMX in this thread, by the 64 bytes at an address."""
    return _matrix_instruction(
        lambda builder, arguments: _call(
            builder, "llvm.x86.ldtilecfg", builder.inttoptr(arguments[0], _BYTES)
        ),
        types.int64,
    )


@_operation
def release_matrix_tiles(typing: Any) -> Any:
    """Stop using AMX in this thread."""
    return _matrix_instruction(lambda builder, arguments: _call(builder, "llvm.x86.tilerelease"))


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
                _call(builder, "llvm.x86.tilezero", number)
        panel = cgutils.alloca_once_value(builder, weights)
        with cgutils.for_range(builder, runs, intp=_I64) as run:
            start = builder.add(a, builder.mul(run.index, run_stride))
            with cgutils.for_range(builder, steps, intp=_I64) as step:
                here = builder.add(start, builder.mul(step.index, _I64(64)))
                for row in range(rows):
                    line = builder.add(here, builder.mul(stride, _I64(16 * row)))
                    rows_at = builder.inttoptr(line, _BYTES)
                    _call(builder, "llvm.x86.tileloadd64", tile(first_a + row), rows_at, stride)
                next_panel = builder.load(panel)
                for column in range(columns):
                    part = builder.inttoptr(builder.add(next_panel, _I64(tile_bytes * column)), _BYTES)
                    _call(builder, "llvm.x86.tileloadd64", tile(first_b + column), part, _I64(64))
                for row in range(rows):
                    for column in range(columns):
                        _call(
                            builder,
                            "llvm.x86.tdpbf16ps",
                            sums[row][column],
                            tile(first_a + row),
                            tile(first_b + column),
                        )
                builder.store(builder.add(next_panel, _I64(tile_bytes * columns)), panel)
        for row in range(rows):
            line = builder.add(out, builder.mul(out_stride, _I64(16 * row)))
            for column in range(columns):
                where = builder.inttoptr(builder.add(line, _I64(64 * column)), _BYTES)
                _call(builder, "llvm.x86.tilestored64", sums[row][column], where, out_stride)

    @_operation
    def product(typing: Any, source: Any, weights: Any, target: Any) -> Any:
        return _matrix_instruction(generate, source, types.int64, target)

    return product


@_operation
def count_up(typing: Any, array: Any, index: Any) -> Any:
    """Add 1 to an int64 that threads share; gives what it was before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        where = _element(context, builder, signature.args[0], *arguments)
        return builder.atomic_rmw("add", where, _I64(1), "seq_cst")

    return types.int64(array, types.int64), generate


@_operation
def read_shared(typing: Any, array: Any, index: Any) -> Any:
    """An int64 that threads share, as it is in memory now."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        where = _element(context, builder, signature.args[0], *arguments)
        return builder.load_atomic(where, "seq_cst", 8)

    return types.int64(array, types.int64), generate


@_operation
def pause(typing: Any) -> Any:
    """Let the other thread of this core have it for a moment."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if platform.machine().lower() in ("x86_64", "amd64"):
            _call(builder, "llvm.x86.sse2.pause")
        return context.get_dummy_value()

    return types.void(), generate


@_operation
def give_way(typing: Any) -> Any:
    """Let another thread have this core, where the system has a call for that."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if os.name == "posix":
            kind = ir.FunctionType(_I32, [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), generate


@_operation
def call_address(typing: Any, function: Any, argument: Any) -> Any:
    """Call a compiled function that takes one value, a tuple of int64, and gives nothing, by its address."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer, value = values
        kind = ir.FunctionType(ir.VoidType(), [value.type])
        builder.call(builder.inttoptr(pointer, ir.PointerType(kind)), [value])
        return context.get_dummy_value()

    return types.void(types.int64, argument), generate
