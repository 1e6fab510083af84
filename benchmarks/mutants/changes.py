"""A small change to a file, and a fair choice of a bounded number of them."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

from benchmarks.mutants.python_changes import python_changes
from benchmarks.mutants.sql_changes import sql_changes
from benchmarks.mutants.targets import TARGETS


@dataclass(frozen=True)
class Change:
    """One mutant.

    Attributes:
        file: what is changed, below the root of the checkout.
        line: the first line that differs.
        before, after: the expression, as code.
        text: the whole file as changed.
    """

    file: str
    line: int
    before: str
    after: str
    text: str

    @property
    def name(self) -> str:
        """File and change, without the line, which every commit moves."""
        return f"{self.file}: {self.before} -> {self.after}"


def changes_of(root: Path, file: str) -> Iterator[Change]:
    """All changes of a file, in its order."""
    text = (root / file).read_text(encoding="utf-8")
    made = python_changes(text) if file.endswith(".py") else sql_changes(text)
    for line, before, after, changed in made:
        yield Change(file, line, before, after, changed)


def chosen(root: Path, count: int, seed: int, only: str = "") -> list[Change]:
    """So many changes, from each file in turn as long as it has some, drawn by the seed.

    Args:
        only: part of the names of the files to take.
    """
    drawn = []
    for file in TARGETS:
        if only in file:
            of_file = list(changes_of(root, file))
            random.Random(f"{seed}/{file}").shuffle(of_file)
            drawn.append(of_file)
    in_turn = (change for change in chain.from_iterable(zip_longest(*drawn)) if change is not None)
    return [change for change, _ in zip(in_turn, range(count), strict=False)]
