"""Asking for memory before it is needed: rows drawn at random from a large table come late, each after the other."""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

# Of LLVM's instruction: the row is going to be written, is wanted in all caches, and is data.
FOR_WRITING, IN_ALL_CACHES, DATA = 1, 3, 1


def _prefetch(context: Any, array: Any, row: Any) -> Any:
    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        there = context.make_array(array)(context, builder, given[0])
        at = context.cast(builder, given[1], row, types.intp)
        widths = cgutils.unpack_tuple(builder, there.shape)[1:]
        ends = [[at, *(width.type(0) for width in widths)], [at, *(builder.sub(w, w.type(1)) for w in widths)]]
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        instruction = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        for end in ends[: array.ndim]:
            element = builder.bitcast(cgutils.get_item_pointer(context, builder, array, there, end), byte)
            builder.call(instruction, [element, number(FOR_WRITING), number(IN_ALL_CACHES), number(DATA)])
        return context.get_dummy_value()

    return types.void(array, row), write


# prefetch(array, row), inside a kernel: start to fetch array[row], or the first and the last element of a row of a
# table. Nothing waits for it, and a row outside the array does no harm.
prefetch: Any = intrinsic(_prefetch)
