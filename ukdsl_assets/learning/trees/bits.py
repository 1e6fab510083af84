"""Compiled: the leaf that is left over, as the number of a word's lowest bit."""

from numba import njit
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
def _trailing_zeros(typing_context, word):  # type: ignore[no-untyped-def]
    def generated(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], cgutils.true_bit)

    return word(word), generated


@njit(inline="always")
def lowest_bit(word):  # type: ignore[no-untyped-def]
    """Number of the lowest bit that is set, of an unsigned integer that is not 0."""
    return _trailing_zeros(word)
