"""Whole requests drawn by a hash, from rows that never are in memory together: the same ones from any shards.

A request's place among 65,536 follows from its id and a seed alone; drawn are those of the first places that hold no
more rows than are wanted. So one reading counts rows by place, counts of shards add up in any order, and a second
reading keeps each shard's part.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.frames.splits import md5_numbers

PLACES = 2**16


@dataclass(frozen=True)
class RequestSample:
    """Which requests are drawn.

    Attributes:
        seed: of the draw.
        places: requests of the first so many places are drawn.
        rows: that they have; every: rows of all requests; most: rows that were wanted at most.
    """

    seed: int
    places: int
    rows: int
    every: int
    most: int

    @classmethod
    def of(cls, counts: NDArray[np.int64], most: int, seed: int) -> "RequestSample | None":
        """The largest sample of at most so many rows; None where all rows are no more.

        The first place with rows is drawn whatever their number.

        Args:
            counts: rows by place, int64 [PLACES], of `rows_by_place`.
        """
        every = int(counts.sum())
        if every <= most:
            return None
        reached = np.cumsum(counts)
        least = int(np.flatnonzero(counts)[0]) + 1
        places = max(int(np.searchsorted(reached, most, side="right")), least)
        return cls(seed, places, int(reached[places - 1]), every, most)

    def drawn(self, request_ids: pl.Series) -> pl.Series:
        """Whether each request is drawn, Boolean [rows]; ids as of `md5_numbers`."""
        return place_of(request_ids, self.seed) < self.places

    @property
    def facts(self) -> dict[str, Any]:
        """For the record of what was trained, as JSON values."""
        return {"rows": self.rows, "of": self.every, "most_rows": self.most, "by": "whole requests, by hash"}

    @property
    def told(self) -> str:
        """For people."""
        return (
            f"{self.rows:,} of {self.every:,} rows, whole requests by hash, since most_rows is {self.most:,}: more "
            "would take more memory"
        )


def place_of(request_ids: pl.Series, seed: int) -> pl.Series:
    """The place of each request, UInt64 [rows] in [0, PLACES): independent of its shard and of all other parts."""
    return md5_numbers(request_ids, f"sample/{seed}") // (2**64 // PLACES)


def rows_by_place(request_ids: pl.Series, seed: int) -> NDArray[np.int64]:
    """How many rows have a request of each place, int64 [PLACES]; ids repeat, one a row."""
    return np.bincount(place_of(request_ids, seed).to_numpy().astype(np.int64), minlength=PLACES)
