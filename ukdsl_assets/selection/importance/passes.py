"""Importance in passes over a sample, and a pass in pieces that may be worked on anywhere, in any order.

A pass holds arrays and no file, so that it can be sent; its pieces are added in their order, so that the sum's bits
depend neither on where they were worked on nor on how many at a time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ukdsl_assets.learning.evaluation.mapped import Mapped
from ukdsl_assets.selection.importance.any_predictor import Columns, changes_of_group
from ukdsl_assets.selection.importance.progress import Log, Progress
from ukdsl_assets.selection.importance.sample import Changes, Sample

# Rows of a piece.
PART = 16_384
# Fills (changes, entropy of the part's rows) for the rows from `first` up to `last`.
PartKernel = Callable[[int, int, Changes, NDArray[np.float64]], None]


class Piece(NamedTuple):
    """What a piece adds to its pass: changes of the groups that it is of, and its rows' cross entropy, if of rows."""

    changes: Changes
    entropy: NDArray[np.float64]


class Pass(Protocol):
    """Some groups, measured on all rows.

    Attributes:
        places: of the groups among all that are measured.
    """

    @property
    def places(self) -> tuple[int, ...]: ...

    def pieces(self) -> Sequence[int]:
        """Numbers of the pieces."""

    def piece(self, number: int) -> Piece:
        """Work on one of them."""

    def added(self, pieces: Iterator[Piece]) -> tuple[Changes, NDArray[np.float64]]:
        """Changes of the groups and each row's cross entropy, float64 [rows], from all pieces in their order."""


@dataclass(frozen=True)
class RowPass:
    """Groups without a common feature, in parts of the rows.

    Attributes:
        kernel: compiled code that releases the interpreter's lock; of a module, or a `partial` of such.
    """

    places: tuple[int, ...]
    kernel: PartKernel
    sample: Sample

    def pieces(self) -> Sequence[int]:
        """First row of each part."""
        return range(0, len(self.sample.target), PART)

    def piece(self, number: int) -> Piece:
        """The changes of the rows of a part."""
        last = min(number + PART, len(self.sample.target))
        piece = Piece(Changes.none(len(self.places), self.sample), np.empty(last - number))
        self.kernel(number, last, *piece)
        return piece

    def added(self, pieces: Iterator[Piece]) -> tuple[Changes, NDArray[np.float64]]:
        """As `Pass.added`."""
        total, entropy = Changes.none(len(self.places), self.sample), [np.empty(0)]
        for piece in pieces:
            total.add(piece.changes)
            entropy.append(piece.entropy)
        return total, np.concatenate(entropy)


@dataclass(frozen=True)
class GroupPass:
    """Groups that are permuted one by one, each a piece, since no kernel is for the model.

    Attributes:
        predictor: gives what predicts columns; entropy: each row's without permutation, float64 [rows].
    """

    predictor: Callable[[], Callable[[Columns], NDArray[Any]]]
    columns: Mapping[str, NDArray[Any]]
    members: tuple[Sequence[str], ...]
    sample: Sample
    entropy: NDArray[np.float64]

    @property
    def places(self) -> tuple[int, ...]:
        """All groups."""
        return tuple(range(len(self.members)))

    def pieces(self) -> Sequence[int]:
        """Numbers of the groups."""
        return self.places

    def piece(self, number: int) -> Piece:
        """The changes of a group."""
        changes = changes_of_group(self.predictor(), self.columns, self.members[number], self.sample, self.entropy)
        return Piece(changes, np.empty(0))

    def added(self, pieces: Iterator[Piece]) -> tuple[Changes, NDArray[np.float64]]:
        """As `Pass.added`."""
        changes = [piece.changes for piece in pieces]
        stacked = (np.concatenate([getattr(each, of) for each in changes]) for of in ("of_repeat", "of_cluster"))
        return Changes(*stacked), self.entropy


def in_threads(each: RowPass, threads: int, log: Log | None) -> tuple[Changes, NDArray[np.float64]]:
    """A pass worked on by threads of this process.

    Args:
        log: gets a line every five seconds.
    """
    progress = Progress("rows", len(each.sample.target), log)

    def done(pieces: Iterator[Piece]) -> Iterator[Piece]:
        for piece in pieces:
            yield piece
            progress.add(len(piece.entropy))

    # Threads are given parts of their own: within a part the library of matrix products must not start any.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        return each.added(done(pool.map(each.piece, each.pieces())))


def elsewhere(passes: Sequence[Pass], mapped: Mapped, log: Log | None) -> Iterator[tuple[Changes, NDArray[np.float64]]]:
    """What each pass gives, all pieces of all passes together worked on by `mapped`, which gets the passes once."""
    pieces = [(place, number) for place, each in enumerate(passes) for number in each.pieces()]
    progress = Progress("pieces", len(pieces), log)
    found = zip(pieces, mapped(partial(_piece, tuple(passes)), pieces), strict=True)
    for place, of_pass in groupby(found, key=lambda each: each[0][0]):
        yield passes[place].added(progress.each(piece for _, piece in of_pass))


def _piece(passes: Sequence[Pass], asked: tuple[int, int]) -> Piece:
    place, number = asked
    with threadpool_limits(1, "blas"):
        return passes[place].piece(number)
