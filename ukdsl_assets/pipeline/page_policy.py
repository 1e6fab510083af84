"""Whose policies are estimated, a student's or the page's, and in which slots a page's rules put candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.page import Page
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.lake.tables.reading import Table
from ukdsl_assets.pages.batch import build_pages
from ukdsl_assets.pages.page import build_page
from ukdsl_assets.pages.rules import PageRules, page_rules, value_of

TABLE = "off_policy"
# The policy that a declared page is, by name.
PAGE = "page"
# Begins the columns of features that rules read.
_RULE = "_rule/"
# Below every value, for candidates without one: they come last.
_LEAST = -1e9
Estimated = Student | Page


class PolicyOf(NamedTuple):
    """A policy of a cascade.

    Attributes:
        name: its student's, or `page`. students: whose checkpoints it is made of. rules: of the page, else None.
    """

    name: str
    students: tuple[Student, ...]
    rules: PageRules | None

    def score(
        self, product: Mapping[str, NDArray[np.float64]], alone: Mapping[str, NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """What candidates are put in order by, before bids, float64 of the predictions' shape.

        Args:
            product: by task, of a task that is given others the product with theirs; alone: without it.
        """
        if self.rules is None:
            return product[self.students[0].task]
        return value_of(self.rules, {each.name: alone[each.task] for each in self.students})


def policy_of(cascade: Cascade, of: Estimated) -> PolicyOf:
    """The policy of a student, or of the cascade's own page, whose exploration counts as off."""
    if isinstance(of, Student):
        return PolicyOf(of.name, (of,), None)
    rules = greedy_rules(cascade)
    return PolicyOf(PAGE, tuple(cascade.student(name) for name in rules.students), rules)


def estimated_policies(cascade: Cascade) -> tuple[Estimated, ...]:
    """Whose policies are estimated: the students of the last stage, then the page that is made of them."""
    page = cascade.estimated_page
    return cascade.estimated_students if page is None else (*cascade.estimated_students, page)


def off_policy_table(cascade: Cascade, of: Estimated) -> Table:
    """Key of the table of estimates: a student's own, or the cascade's for the page."""
    return (cascade.name, of.name, TABLE) if isinstance(of, Student) else (cascade.name, TABLE)


def greedy_rules(cascade: Cascade) -> PageRules:
    """The declared rules without exploration.

    Raises:
        PageError: the cascade declares no page.
    """
    return replace(page_rules(cascade), exploration=None)


def rule_columns(rules: PageRules) -> list[pl.Expr]:
    """The features that rules read, under names of their own."""
    return [pl.col(name).alias(f"{_RULE}{name}") for name in rules.features]


def placed_by_rules(
    rules: PageRules,
    rows: pl.DataFrame,
    value: NDArray[np.float64],
    request: NDArray[np.int64],
    slots: NDArray[np.int64],
) -> NDArray[np.int64]:
    """The slot in which each candidate's page shows it, from 1 on, 0 for none.

    A page is built as it is declared; of one with more slots than the request showed the first of them count, since
    nothing is known of the others. One with fewer, or with too few eligible candidates, leaves the last slots empty.

    Args:
        rules: without exploration. rows: columns of `rule_columns`, requests together. value: float64 [rows]; what is
            not finite comes last. request: int64 [rows], ascending from 0 on; slots: int64 [requests], of each.

    Returns:
        int64 [rows].
    """
    value = np.where(np.isfinite(value), value, _LEAST)
    count = np.bincount(request, minlength=len(slots))
    starts = np.cumsum(count) - count
    placed = np.zeros(len(value), np.int64)
    columns = {name: rows[f"{_RULE}{name}"] for name in rules.features}
    # Missing values are for a page alone, which knows them as such.
    missing = np.zeros(len(slots), bool)
    for column in columns.values():
        missing[request[column.is_null().to_numpy()]] = True
    arrays = {name: column.to_numpy() for name, column in columns.items()}
    for size in np.unique(count[count > 0]).tolist():
        of_size = np.flatnonzero((count == size) & ~missing)
        places = starts[of_size, None] + np.arange(size)
        made = build_pages(rules, value[places], {name: of[places] for name, of in arrays.items()}, of_size)
        _put(placed, places, made.order)
    for number in np.flatnonzero(missing).tolist():
        here = slice(starts[number], starts[number] + count[number])
        features: dict[str, Sequence[object]] = {name: column[here].to_list() for name, column in columns.items()}
        page = build_page(rules, value[here], features, number)
        placed[starts[number] + page.order] = np.arange(1, len(page.order) + 1)
    return np.where(placed <= slots[request], placed, 0)


def _put(placed: NDArray[np.int64], places: NDArray[np.int64], order: NDArray[np.int64]) -> None:
    """Write the slots of pages [requests, slots], -1 for an empty one, at the places [requests, candidates]."""
    page, slot = np.nonzero(order >= 0)
    placed[places[page, order[page, slot]]] = slot + 1
