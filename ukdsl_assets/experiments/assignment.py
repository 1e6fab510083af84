"""Who is in which arm of an experiment: a hash of the visitor and the experiment's name, and nothing else.

Nothing is stored, so that a server, a simulation and whoever reads the logs come to the same arm. The salt makes the
arms of one experiment independent of those of another (Kohavi, Tang and Xu, Trustworthy Online Controlled Experiments,
2020, chapter 4).
"""

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import md5
from itertools import accumulate
from types import MappingProxyType

import numpy as np
import polars as pl

from ukdsl_assets.errors import ExperimentError
from ukdsl_assets.frames.splits import md5_numbers

# Shares are typed with a few digits: .333, .333 and .334.
_SUM_TOLERANCE = 1e-9
_NUMBERS = 2.0**64


@dataclass(frozen=True)
class Experiment:
    """An experiment by its name, and the share of the visitors that each arm is to have.

    Attributes:
        name: the salt: the same name gives the same arms, another name independent ones.
        shares: arm -> share, each above 0, of sum 1; the first arm is the control.

    Raises:
        ExperimentError: the name is empty, there are fewer than two arms, or the shares are no shares.
    """

    name: str
    shares: Mapping[str, float]

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ExperimentError("experiment: its name is empty; give one, such as item_page_students_1")
        told = ", ".join(f"{arm}={share:g}" for arm, share in self.shares.items()) or "none"
        if len(self.shares) < 2 or not all(arm.strip() for arm in self.shares):
            raise ExperimentError(
                f"experiment {self.name}: shares: saw {told}; expected at least two arms, such as "
                "static=0.5,students=0.5"
            )
        if not all(math.isfinite(share) and share > 0 for share in self.shares.values()):
            raise ExperimentError(f"experiment {self.name}: shares: saw {told}; expected each to be above 0")
        if abs(sum(self.shares.values()) - 1) > _SUM_TOLERANCE:
            raise ExperimentError(
                f"experiment {self.name}: shares: saw {told}, of sum {sum(self.shares.values()):g}; expected 1: "
                "name an arm for the rest of the visitors too"
            )
        object.__setattr__(self, "shares", MappingProxyType(dict(self.shares)))

    @property
    def salt(self) -> str:
        """What is hashed behind a visitor's id."""
        return f"/experiment/{self.name}"

    @cached_property
    def _arms(self) -> tuple[str, ...]:
        return tuple(self.shares)

    @cached_property
    def _ends(self) -> tuple[int, ...]:
        """Where the part of each arm but the last ends, of all hashes."""
        return tuple(int(end * _NUMBERS) for end in accumulate(list(self.shares.values())[:-1]))

    def arm_of(self, visitor: int | str) -> str:
        """The arm of one visitor, for a server: two microseconds. `7` and `"7"` are one visitor.

        Raises:
            ExperimentError: an empty text: all who have no id would be in one arm.
        """
        if visitor == "":
            raise ExperimentError(f"experiment {self.name}: the visitor's id is empty; serve the control without it")
        number = int.from_bytes(md5(f"{visitor}{self.salt}".encode(), usedforsecurity=False).digest()[8:], "little")
        return self._arms[bisect_right(self._ends, number)]

    def arms_of(self, visitors: pl.Series) -> pl.Series:
        """The arm of each visitor, the same as `arm_of` gives.

        Args:
            visitors: Int64 or String, any length, repeats allowed.

        Returns:
            String, named `arm`, same length and order.

        Raises:
            ExperimentError: a visitor is null or an empty text: it belongs to no arm.
        """
        if missing := visitors.null_count() + int((visitors.cast(pl.String) == "").sum()):
            raise ExperimentError(
                f"experiment {self.name}: {missing:,} of {len(visitors):,} rows have no visitor in column "
                f"`{visitors.name}`; leave them out, or take a column that every row has"
            )
        ends = np.array(self._ends, np.uint64)
        places = np.searchsorted(ends, md5_numbers(visitors, self.salt).to_numpy(), side="right")
        return pl.Series("arm", np.array(self._arms, object)[places], dtype=pl.String)
