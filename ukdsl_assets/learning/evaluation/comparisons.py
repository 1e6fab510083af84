"""What predictions on withheld rows are compared with: labels, the teacher and the truth, each on its rows."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.columns import CD, IMP
from ukdsl_assets.learning.metrics.bootstrap import request_numbers


class Order(NamedTuple):
    """A choice beside the ideal one of the same size: their sums of bid * truth, and how many rows they share."""

    value: float
    ideal_value: float
    shared: int
    ideal: int

    def plus(self, other: "Order") -> "Order":
        """The same of two shards together."""
        return Order(
            self.value + other.value,
            self.ideal_value + other.ideal_value,
            self.shared + other.shared,
            self.ideal + other.ideal,
        )


@dataclass(frozen=True)
class Comparison:
    """One domain against one reference.

    chosen: Boolean [all rows]; y, w, request: reference, weight and number of the request, [chosen rows]. order: how
    well the chosen rows were chosen, where that is what was judged and the truth is known.
    """

    domain: str
    reference: str
    chosen: NDArray[np.bool_]
    y: NDArray[np.float64]
    w: NDArray[np.float64]
    request: NDArray[np.int64]
    order: Order | None = None

    @cached_property
    def observed(self) -> NDArray[np.float64]:
        """The reference as a share of a positive: a corrected label exceeds 1, orders are judged by labels as seen."""
        return np.minimum(self.y, 1)


@dataclass(frozen=True)
class JudgedRows:
    """The rows of a shard as columns, each made once for all comparisons.

    frame: columns request_id, domain, target, weight and, if the source knows it, truth.
    """

    frame: pl.DataFrame
    _kept: dict[str, NDArray[Any]] = field(default_factory=dict, repr=False)

    @cached_property
    def request(self) -> NDArray[np.int64]:
        """Their `request_numbers`, int64 [rows]."""
        return request_numbers(self.frame)

    def of(self, *domains: str) -> NDArray[np.bool_]:
        """Which rows are of one of the domains, bool [rows]."""
        for each in domains:
            if f"domain {each}" not in self._kept:
                self._kept[f"domain {each}"] = (self.frame["domain"] == each).to_numpy()
        return np.logical_or.reduce([self._kept[f"domain {each}"] for each in domains])

    def values(self, name: str) -> NDArray[Any]:
        """A column [rows] of numbers, NaN where it is null."""
        if name not in self._kept:
            self._kept[name] = self.frame[name].to_numpy()
        return self._kept[name]

    def known(self, name: str) -> NDArray[np.bool_]:
        """Where a column is not null, bool [rows]; nowhere where there is none."""
        if f"known {name}" not in self._kept:
            there = name in self.frame.columns
            known = self.frame[name].is_not_null().to_numpy() if there else np.zeros(len(self.frame), bool)
            self._kept[f"known {name}"] = known
        return self._kept[f"known {name}"]

    def compared(
        self,
        domain: str,
        reference: str,
        chosen: NDArray[np.bool_],
        column: str,
        weight: NDArray[np.float64] | None = None,
        order: Order | None = None,
    ) -> Comparison:
        """Chosen rows against a column; a weight of None is their column `weight`."""
        weight = self.chosen("weight", chosen) if weight is None else weight
        return Comparison(domain, reference, chosen, self.chosen(column, chosen), weight, self.request[chosen], order)

    def chosen(self, name: str, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Some rows of a column, float64."""
        return np.asarray(self.values(name)[chosen], np.float64)


def comparisons(rows: JudgedRows) -> Iterator[Comparison]:
    """IMP against labels and CD against the teacher; both against the truth where some row has it."""
    references = [(IMP, "label", "target"), (CD, "teacher", "target")]
    if rows.known("truth").any():
        references += [(IMP, "truth", "truth"), (CD, "truth", "truth")]
    for domain, reference, column in references:
        # A row of an earlier day, waited for, may have no published truth.
        yield rows.compared(domain, reference, rows.of(domain) & rows.known(column), column)
