"""A day's pages as they were shown, beside those that the declared page makes of the day's students; for the report."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import KEYS
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.frames.served_as import as_scored
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.student import from_checkpoint
from ukdsl_assets.pages.page import build_page
from ukdsl_assets.pages.rules import PageRules, page_rules, value_of

# Requests that pages are built of: enough for a share, and quick. Those that are drawn.
MOST_REQUESTS, DRAWN = 200, 3


@dataclass(frozen=True)
class Shown:
    """A candidate in a slot: its id, its values of the rules' features in words, and whether a pin put it there."""

    candidate: str
    words: str
    pinned: bool = False


@dataclass(frozen=True)
class PageExample:
    """One request's page.

    Attributes:
        request: its id.
        before: as it was shown; after: as the declared page would have it, both by slot.
        held_back: what values alone would have shown in place of some of it, the best first.
        relaxed: what gave way.
    """

    request: str
    before: tuple[Shown, ...]
    after: tuple[Shown, ...]
    held_back: tuple[Shown, ...]
    relaxed: tuple[str, ...]


@dataclass(frozen=True)
class PageExamples:
    """What the declared page makes of a day.

    Attributes:
        requests: withheld requests of the day that did not explore, at most `MOST_REQUESTS`, of one shard.
        kept: mean share of a page's candidates that stay on it.
        value_before, value_after, value_free: mean sum over slots of slot weight times value by the students' own
            predictions, as shown, by the declared page, and without its rules.
        changed: requests whose page the rules change; relaxed: those where a rule gave way.
        examples: of the requests, those whose rules change most first.
    """

    requests: int
    kept: float
    value_before: float
    value_after: float
    value_free: float
    changed: int
    relaxed: int
    examples: tuple[PageExample, ...]


def page_examples(lake: Lake, store: CheckpointStore, cascade: Cascade, day: dt.date) -> PageExamples | None:
    """The pages of a day before and after; None without a declared page, a student's checkpoint, or a request."""
    if cascade.page is None:
        return None
    rules = replace(page_rules(cascade), exploration=None)
    if any(day not in store.days((cascade.name, name, "distilled")) for name in rules.students):
        return None
    rows = _rows(lake, cascade, day)
    if rows.is_empty():
        return None
    predictions = {}
    scored = rows.with_columns(as_scored(cascade.features))
    for name in rules.students:
        checkpoint = store.load((cascade.name, name, "distilled"), day)
        fitted = from_checkpoint(checkpoint.metadata, checkpoint.tensors or {}, checkpoint.text)
        predictions[name] = predict_student(fitted, scored)[fitted.heads[-1]]
    rows = rows.with_columns(value=value_of(rules, predictions))
    made = [_Made(rules, cascade, part) for part in rows.partition_by("request_id", maintain_order=True)]
    made.sort(key=lambda each: -len(each.held_back))
    return PageExamples(
        len(made),
        float(np.mean([len({*each.before} & {*each.after}) / max(len(each.before), 1) for each in made])),
        float(np.mean([each.worth(each.before) for each in made])),
        float(np.mean([each.worth(each.after) for each in made])),
        float(np.mean([each.worth(each.free) for each in made])),
        sum(each.after != each.free for each in made),
        sum(bool(each.relaxed) for each in made),
        tuple(each.example() for each in made[:DRAWN]),
    )


def _rows(lake: Lake, cascade: Cascade, day: dt.date) -> pl.DataFrame:
    """Candidates that the page chooses among, of the first withheld requests of a shard that did not explore."""
    assert cascade.page is not None
    stage = cascade.student(next(iter(cascade.page.value))).stage
    reached = [each.name for each in cascade.stages[cascade.depth(stage) :]]
    columns = [*KEYS, "shown", *(feature.name for feature in cascade.features)]
    log = lake.scan_shards((cascade.name, "candidate_log"), [day])[0]
    candidates = log.filter(pl.col("deepest_stage").is_in(reached)).filter(
        ~pl.col("explored").any().over("request_id"), pl.col("shown").any().over("request_id")
    )
    rows = candidates.select(columns).collect()
    requests = rows["request_id"].unique().sort()
    requests = requests.filter(withheld(requests, cascade.withheld_share))[:MOST_REQUESTS]
    return rows.filter(pl.col("request_id").is_in(requests.implode())).sort(KEYS)


class _Made:
    """The pages of one request; places are rows of its frame."""

    def __init__(self, rules: PageRules, cascade: Cascade, rows: pl.DataFrame) -> None:
        self.rules, self.cascade, self.rows = rules, cascade, rows
        self.value: NDArray[np.float64] = rows["value"].to_numpy()
        request = rows["request_id"][0]
        page = build_page(rules, self.value, {name: rows[name].to_list() for name in rules.features}, request)
        self.after, self.relaxed = page.order.tolist(), page.relaxed
        self.free = np.argsort(-self.value, kind="stable")[: rules.slots].tolist()
        self.before = _as_shown(cascade.features_of_shown, rows)
        self.held_back = [place for place in self.free if place not in self.after]

    def worth(self, order: Sequence[int]) -> float:
        return float(sum(weight * self.value[at] for weight, at in zip(self.rules.weights, order, strict=False)))

    def example(self) -> PageExample:
        pinned = {
            slot
            for slot, feature, value in self.rules.pins
            if slot < len(self.after) and self.rows[feature][self.after[slot]] == value
        }
        return PageExample(
            str(self.rows["request_id"][0]),
            tuple(self._told(at) for at in self.before),
            tuple(self._told(at, slot in pinned) for slot, at in enumerate(self.after)),
            tuple(self._told(at) for at in self.held_back),
            self.relaxed,
        )

    def _told(self, at: int, pinned: bool = False) -> Shown:
        row = self.rows.row(at, named=True)
        features = {feature.name: feature for feature in self.cascade.features}
        words = [f"{name} {_in_words(features[name], row)}" for name in self.rules.compared]
        return Shown(str(row["candidate_id"]), ", ".join(words), pinned)


def _in_words(feature: Feature, row: Mapping[str, Any]) -> str:
    value = row[feature.name]
    return "missing" if value is None else dict(feature.names or ()).get(str(value), str(value))


def _as_shown(of_shown: Sequence[Feature], rows: pl.DataFrame) -> list[int]:
    """Places of what was shown, by the first feature that only shown candidates have, such as the slot."""
    places = rows.with_row_index("place").filter("shown")
    by = next((each.name for each in of_shown if each.values == "integer"), "place")
    return places.sort(by, "place")["place"].to_list()
