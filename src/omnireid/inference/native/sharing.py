"""What threads share, and how they wait, for compiled functions."""

from __future__ import annotations

import os
import platform
from typing import Any

from llvmlite import ir
from numba import types

from omnireid.inference.native.vectors import I32, I64, call, cgutils, element_at, operation


@operation
def count_up(typing: Any, array: Any, index: Any) -> Any:
    """Add 1 to an int64 that threads share; gives what it was before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        where = element_at(context, builder, signature.args[0], *arguments)
        return builder.atomic_rmw("add", where, I64(1), "seq_cst")

    return types.int64(array, types.int64), generate


@operation
def read_shared(typing: Any, array: Any, index: Any) -> Any:
    """An int64 that threads share, as it is in memory now."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        where = element_at(context, builder, signature.args[0], *arguments)
        return builder.load_atomic(where, "seq_cst", 8)

    return types.int64(array, types.int64), generate


@operation
def pause(typing: Any) -> Any:
    """Let the other thread of this core have it for a moment."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if platform.machine().lower() in ("x86_64", "amd64"):
            call(builder, "llvm.x86.sse2.pause")
        return context.get_dummy_value()

    return types.void(), generate


@operation
def give_way(typing: Any) -> Any:
    """Let another thread have this core, where the system has a call for that."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if os.name == "posix":
            kind = ir.FunctionType(I32, [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), generate


@operation
def call_address(typing: Any, function: Any, argument: Any) -> Any:
    """Call a compiled function that takes one value, a tuple of int64, and gives nothing, by its address."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer, value = values
        kind = ir.FunctionType(ir.VoidType(), [value.type])
        builder.call(builder.inttoptr(pointer, ir.PointerType(kind)), [value])
        return context.get_dummy_value()

    return types.void(types.int64, argument), generate
