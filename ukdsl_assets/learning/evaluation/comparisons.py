"""What predictions on withheld rows are compared with: labels, the teacher and the truth, each on its rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

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

    @property
    def observed(self) -> NDArray[np.float64]:
        """The reference as a share of a positive: a corrected label exceeds 1, orders are judged by labels as seen."""
        return np.minimum(self.y, 1)


def comparisons(rows: pl.DataFrame) -> Iterator[Comparison]:
    """IMP against labels and CD against the teacher; both against the truth where some row has it.

    Args:
        rows: columns request_id, domain, target, weight and, if the source knows it, truth.
    """
    references = [(IMP, "label", "target"), (CD, "teacher", "target")]
    if "truth" in rows.columns and rows["truth"].is_not_null().any():
        references += [(IMP, "truth", "truth"), (CD, "truth", "truth")]
    request = request_numbers(rows)
    for domain, reference, column in references:
        # A row of an earlier day, waited for, may have no published truth.
        chosen = ((rows["domain"] == domain) & rows[column].is_not_null()).to_numpy()
        y, w = (rows[name].to_numpy()[chosen].astype(np.float64) for name in (column, "weight"))
        yield Comparison(domain, reference, chosen, y, w, request[chosen])
