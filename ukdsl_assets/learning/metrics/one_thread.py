"""Sums in NumPy that do not depend on the machine: BLAS adds in an order that depends on its number of threads."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def blas_on_one_thread(function: Callable[P, R]) -> Callable[P, R]:
    """The function with one thread in BLAS; its products are small, so that further ones would mostly wait."""

    @wraps(function)
    def limited(*given: P.args, **named: P.kwargs) -> R:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1, "blas"):
            return function(*given, **named)

    return limited
