"""Vector registers and products in them, for compiled functions.

numba vectorises loops on its own, but not so that a tile of a matrix product stays in registers. Here are
the few operations that it needs for that, as LLVM instructions: they exist for every processor with vectors
of 4, 8 or 16 floats, and what only some have (bfloat16 products, matrix tiles) is asked for by `FEATURES`.
Import it inside functions: numba takes half a second.
"""

from __future__ import annotations

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
HAS_MATRIX_TILES = sys.platform == "linux" and LANES == 16 and {"amx-tile", "amx-bf16"} <= FEATURES
"""AMX: products of 16×32 by 32×16 bfloat16 in one instruction. Kept code is compiled with it or without."""

CHANNELS = 16
"""Channels are padded to a multiple of this, whatever the vectors' size."""

# Width of a tile in channels → its height in pixels, such that the sums fill the registers.
TILES = {64: 6, 48: 8, 32: 12, 16: 16} if LANES == 16 else {16: 6}

cgutils: Any = numba_cgutils  # numba's parts have no types that checkers understand
operation: Callable[[Any], Any] = intrinsic

_F32 = ir.FloatType()
_I8, _I16, I32, I64 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)
BYTES = ir.PointerType(ir.IntType(8))
_VECTOR = ir.VectorType(_F32, LANES)
_WORDS = ir.VectorType(I32, LANES)
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


def element_at(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
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


@operation
def load(typing: Any, array: Any, index: Any) -> Any:
    """LANES consecutive elements; those of a uint16 array are bfloat16, of a uint8 array whole numbers."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        where = element_at(context, builder, signature.args[0], *arguments)
        return _load(builder, where, signature.args[0].dtype.bitwidth // 8)

    return vector(array, types.int64), generate


@operation
def store(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Write LANES elements; into a uint16 array as bfloat16, into a uint8 array as whole numbers from 0 to
    255; rounded to the nearest."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        where = element_at(context, builder, signature.args[0], *arguments[:2])
        _store(builder, where, arguments[2], signature.args[0].dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), generate


def _load_at(size: int) -> Any:
    @operation
    def instruction_at(typing: Any, where: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return _load(builder, builder.inttoptr(arguments[0], BYTES), size)

        return vector(types.int64), generate

    return instruction_at


def _store_at(size: int) -> Any:
    @operation
    def instruction_at(typing: Any, where: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _store(builder, builder.inttoptr(arguments[0], BYTES), arguments[1], size)
            return context.get_dummy_value()

        return types.void(types.int64, vector), generate

    return instruction_at


# LANES values at an address; stored bfloat16 and bytes are rounded to the nearest.
load_float32, load_bfloat16, load_byte = _load_at(4), _load_at(2), _load_at(1)
store_float32, store_bfloat16, store_byte = _store_at(4), _store_at(2), _store_at(1)


@operation
def get_float(typing: Any, array: Any, index: Any) -> Any:
    """One element as float32; that of a uint16 array is bfloat16, of a uint8 array a whole number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = builder.load(element_at(context, builder, signature.args[0], *arguments))
        if signature.args[0].dtype == types.float32:
            return value
        if signature.args[0].dtype == types.uint8:
            return builder.uitofp(value, _F32)
        return builder.bitcast(builder.shl(builder.zext(value, I32), I32(16)), _F32)

    return types.float32(array, types.int64), generate


@operation
def set_float(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Write one float32; into a uint16 array as bfloat16, rounded to the nearest; a whole number of 0 to 255
    into a uint8 array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        where = element_at(context, builder, signature.args[0], *arguments[:2])
        value = arguments[2]
        if signature.args[0].dtype == types.uint8:
            value = builder.fptoui(value, _I8)
        elif signature.args[0].dtype != types.float32:
            value = builder.fptrunc(value, _BFloat16())
        builder.store(value, builder.bitcast(where, ir.PointerType(value.type)))
        return context.get_dummy_value()

    return types.void(array, types.int64, types.float32), generate


@operation
def splat(typing: Any, value: Any) -> Any:
    """One float32 in every lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _splat(builder, arguments[0])

    return vector(types.float32), generate


@operation
def multiply_add(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a · b + c, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _multiply_add(builder, *arguments)

    return vector(vector, vector, vector), generate


def _of_two(instruction: Callable[[Any, Any, Any], Any]) -> Any:
    @operation
    def instruction_of_two(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return instruction(builder, *arguments)

        return vector(vector, vector), generate

    return instruction_of_two


add = _of_two(lambda builder, a, b: builder.fadd(a, b))
subtract = _of_two(lambda builder, a, b: builder.fsub(a, b))
multiply = _of_two(lambda builder, a, b: builder.fmul(a, b))
divide = _of_two(lambda builder, a, b: builder.fdiv(a, b))
maximum = _of_two(lambda builder, a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b))


@operation
def where_positive(typing: Any, condition: Any, value: Any) -> Any:
    """A value where the condition is above 0, and 0 elsewhere."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", arguments[0], _ZERO), arguments[1], _ZERO)

    return vector(vector, vector), generate


@operation
def where_equal(typing: Any, a: Any, b: Any, value: Any) -> Any:
    """A value where a is b, and 0 elsewhere."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b, value = arguments
        return builder.select(builder.fcmp_ordered("==", a, b), value, _ZERO)

    return vector(vector, vector, vector), generate


@operation
def square_root(typing: Any, a: Any) -> Any:
    """Of each lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{LANES}f32")
        return builder.call(function, arguments)

    return vector(vector), generate


def call(builder: Any, name: str, *arguments: Any) -> None:
    signature = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
    builder.call(cgutils.get_or_insert_function(builder.module, signature, name), arguments)


def _splat(builder: Any, value: Any) -> Any:
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, value, I32(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, LANES), [0] * LANES))


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


@operation
def address(typing: Any, array: Any, index: Any) -> Any:
    """Where an element lies in memory."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ptrtoint(element_at(context, builder, signature.args[0], *arguments), I64)

    return types.int64(array, types.int64), generate


def _at(builder: Any, where: Any, kind: Any) -> Any:
    return builder.inttoptr(where, ir.PointerType(kind))


def _column_at(builder: Any, line: Any, column: int) -> Any:
    """Pointer to a vector of a line of float32."""
    return _at(builder, builder.add(line, I64(4 * LANES * column)), _VECTOR)


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

    @operation
    def product(typing: Any, source: Any, weights: Any, target: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            source, weights, target = arguments
            a, stride, runs, run_stride, length = cgutils.unpack_tuple(builder, source)
            out, out_stride, bias, residual, residual_stride, relu = cgutils.unpack_tuple(builder, target)
            if not _HAS[numbers]:
                return context.get_dummy_value()
            sums = [[cgutils.alloca_once_value(builder, _ZERO) for _ in range(count)] for _ in range(pixels)]
            with builder.if_then(builder.icmp_signed("!=", bias, I64(0))):
                for column in range(count):
                    value = builder.load(_column_at(builder, bias, column), align=4)
                    for row in range(pixels):
                        builder.store(value, sums[row][column])
            panel = cgutils.alloca_once_value(builder, weights)
            row_stride, step_stride, line_stride = stride, I64(4), I64(4 * channels)
            if transposed:
                row_stride, step_stride, line_stride = step_stride, stride, run_stride
            rows = [builder.add(a, builder.mul(row_stride, I64(row))) for row in range(pixels)]
            with cgutils.for_range(builder, runs, intp=I64) as run:
                start = builder.mul(run.index, run_stride)
                starts = [builder.add(row, start) for row in rows]
                first = builder.load(panel)
                with cgutils.for_range(builder, length, intp=I64) as step:
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
                builder.store(builder.add(first, builder.mul(length, I64(4 * channels))), panel)
            if numbers == "int8":
                for total in (total for row in sums for total in row):
                    whole = builder.bitcast(builder.load(total), _WORDS)
                    builder.store(builder.sitofp(whole, _VECTOR), total)
            with builder.if_then(builder.icmp_signed("!=", residual, I64(0))):
                for row in range(pixels):
                    line = builder.add(residual, builder.mul(residual_stride, I64(row)))
                    for column in range(count):
                        value = builder.load(_column_at(builder, line, column), align=4)
                        builder.store(builder.fadd(builder.load(sums[row][column]), value), sums[row][column])
            with builder.if_then(builder.icmp_signed("!=", relu, I64(0))):
                for row in range(pixels):
                    for column in range(count):
                        value = builder.load(sums[row][column])
                        positive = builder.select(builder.fcmp_ordered(">", value, _ZERO), value, _ZERO)
                        builder.store(positive, sums[row][column])
            for row in range(pixels):
                line = builder.add(out, builder.mul(out_stride, I64(row)))
                for column in range(count):
                    where = _column_at(builder, line, column)
                    builder.store(builder.load(sums[row][column]), where, align=4)
            return context.get_dummy_value()

        return types.void(source, types.int64, target), generate

    return product
