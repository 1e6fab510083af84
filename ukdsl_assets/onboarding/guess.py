"""All guesses about a pair of raw files together: from samples of rows to what every column of both logs is made of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import polars as pl

from ukdsl_assets.errors import OnboardingError, did_you_mean
from ukdsl_assets.onboarding.columns import Column, Guess, as_flags, looked_at, may_be_called, names_told
from ukdsl_assets.onboarding.events import LEAST_EVENTS, EventKind, Events, events_of_flag, guess_events
from ukdsl_assets.onboarding.features import Features, guess_features
from ukdsl_assets.onboarding.keys import Keys, guess_keys
from ukdsl_assets.onboarding.marks import Marks, guess_marks
from ukdsl_assets.onboarding.moments import moment_of
from ukdsl_assets.onboarding.stages import Stages, guess_stages

# What a person may name: --column WHAT=COLUMN.
NAMEABLE = ("request_id", "candidate_id", "requested_at", "shown", "bid", "explored", "propensity")
NAMEABLE_EVENTS = ("request_id", "candidate_id", "occurred_at", "event", "value")


@dataclass(frozen=True)
class _Expected:
    """What a column that a person names has to hold."""

    words: str
    holds: Callable[[Column], bool]


_AN_ID = _Expected("texts or whole numbers", lambda c: c.is_text or c.dtype.is_integer() or c.is_whole)
_A_TIME = _Expected("times, all in one form such as 2026-03-01T12:00:00Z", lambda c: moment_of(c) is not None)
_A_FLAG = _Expected("true and false, or 0 and 1", lambda c: as_flags(c) is not None)
_A_NUMBER = _Expected("numbers", lambda c: c.low is not None)
_EXPECTED = {
    "request_id": _AN_ID,
    "candidate_id": _AN_ID,
    "requested_at": _A_TIME,
    "occurred_at": _A_TIME,
    "shown": _A_FLAG,
    "explored": _A_FLAG,
    "event": _Expected("texts that tell events apart", lambda c: c.is_text or c.dtype.is_integer()),
    "bid": _A_NUMBER,
    "propensity": _A_NUMBER,
    "value": _A_NUMBER,
    "--stage": _A_NUMBER,
}


@dataclass(frozen=True)
class TaskGuess:
    """A task: its event, and the column of each stage's prediction that has one."""

    kind: EventKind
    predictions: Mapping[str, str]
    given: str | None = None


@dataclass(frozen=True)
class Guessed:
    """What both raw files are taken for.

    Attributes:
        tasks: the one that students learn first.
        zone: of times without one; zone_said: whether a person named it.
        days: UTC days of the sample, first and last.
        left_out: columns that become nothing, and why; those of the event log begin with `event.`.
    """

    columns: Mapping[str, Column]
    event_columns: Mapping[str, Column]
    keys: Keys
    identifiers: Literal["integer", "string"]
    stages: Stages
    events: Events | None
    marks: Marks
    tasks: tuple[TaskGuess, ...]
    features: Features
    zone: str
    zone_said: bool
    days: tuple[date, date]
    left_out: Mapping[str, str]

    @property
    def guesses(self) -> list[Guess]:
        """All guesses, in the order of the contract."""
        of_events = self.events.guesses if self.events is not None else ()
        return [*self.keys.guesses, *self.stages.guesses, *self.marks.guesses, *of_events, *self.features.guesses]

    @property
    def doubts(self) -> list[Guess]:
        """The guesses that a person should look at."""
        return [guess for guess in self.guesses if not guess.sure]

    def doubt(self, what: str) -> str | None:
        """Why a guess should be looked at; None where it is sure or there is none."""
        return next((guess.reason for guess in self.doubts if guess.what == what), None)


def guess_mapping(
    candidates: pl.DataFrame,
    events: pl.DataFrame | None,
    chosen: Mapping[str, str] | None = None,
    stages: Sequence[tuple[str, str]] = (),
    zone: str | None = None,
) -> Guessed:
    """What the columns of raw files are, of samples of their rows; a pure function, whatever the columns are called.

    Args:
        candidates: one row a scored candidate of a request; most requests whole. events: one row an outcome; None where
            the candidates say it themselves.
        chosen: what of NAMEABLE, or of NAMEABLE_EVENTS after `event.` -> column, as a person named them.
        stages: (stage, column of its prediction) in order, as a person named them.
        zone: of times without one; None: UTC, to be checked.

    Raises:
        OnboardingError: a file has no rows, a named column is not there, or what the logs must have is not found.
    """
    chosen = chosen or {}
    columns, event_columns = looked_at(candidates), looked_at(events) if events is not None else {}
    _check_named(columns, event_columns, chosen, stages)
    if not len(candidates):
        raise OnboardingError("candidates: no rows; expected one for each candidate that a stage scored")
    keys = guess_keys(columns, chosen)
    used = {keys.request, keys.candidate, keys.time.column}
    found = guess_stages(columns, used | {chosen.get("propensity", ""), chosen.get("bid", "")}, stages)
    of_events = None
    if events is not None and not len(events):
        raise OnboardingError("events: no rows; expected one for each click or other outcome, or no --events")
    if events is not None:
        of_events = guess_events(event_columns, columns, keys, chosen, zone or "UTC")
    pairs = None if of_events is None else _pairs(event_columns, of_events)
    marks = guess_marks(columns, keys, found, of_events, chosen, pairs)
    tasks = _tasks(columns, found, of_events, marks)
    shown = _shown(columns, keys, marks, pairs)
    predictions = {name for stage in found.stages for name in (stage.column, stage.conversion) if name}
    used |= predictions | {name for name in (marks.shown, marks.explored, marks.propensity, marks.bid) if name}
    used |= {*marks.outcomes, *marks.left_out, *found.left_out}
    features = guess_features(columns, keys, found, shown, used)
    known = [f for f in features.features if is_early(f.feature.known_from, found)]
    if not known:
        raise OnboardingError(
            "no column is a feature that an early stage knows; expected some of the request or the candidate, such as "
            f"a country or an item's category. Columns are {names_told(columns.values())}"
        )
    texts = [columns[keys.request], columns[keys.candidate]]
    texts += [event_columns[name] for name in (of_events.request, of_events.candidate)] if of_events is not None else []
    large = any(each.dtype == pl.UInt64 and (each.high or 0) >= 2**63 for each in texts)
    days = keys.time.read(columns[keys.time.column].values, zone or "UTC").dt.date()
    first, last = days.min(), days.max()
    assert isinstance(first, date)
    assert isinstance(last, date)
    dropped = {f"event.{name}": why for name, why in (of_events.left_out if of_events is not None else {}).items()}
    return Guessed(
        columns,
        event_columns,
        keys,
        "string" if large or any(each.is_text for each in texts) else "integer",
        found,
        of_events,
        marks,
        tasks,
        features,
        zone or "UTC",
        zone is not None,
        (first, last),
        {**features.left_out, **marks.left_out, **found.left_out, **_unlearnt(of_events, tasks), **dropped},
    )


def _check_named(
    columns: Mapping[str, Column],
    event_columns: Mapping[str, Column],
    chosen: Mapping[str, str],
    stages: Sequence[tuple[str, str]],
) -> None:
    for what, name in chosen.items():
        nameable = (*NAMEABLE, *(f"event.{each}" for each in NAMEABLE_EVENTS))
        if what not in nameable:
            raise OnboardingError(
                f"--column {what}={name}: expected one of {', '.join(nameable)}{did_you_mean(what, nameable)}"
            )
    named = [
        (f"--column {what}", name, event_columns if what.startswith("event.") else columns)
        for what, name in chosen.items()
    ]
    named += [(f"--stage {stage}", name, columns) for stage, name in stages]
    for option, name, there in named:
        if name not in there:
            raise OnboardingError(
                f"{option}={name}: no such column{did_you_mean(name, there)}; columns are "
                f"{names_told(there.values()) or '(no file)'}"
            )
    for option, name, there in named:
        expected = _EXPECTED[option.removeprefix("--column ").removeprefix("event.").partition(" ")[0]]
        if not expected.holds(there[name]):
            seen = f"{there[name].dtype} such as {there[name].values.drop_nulls().head(1).to_list()}"
            raise OnboardingError(f"{option}={name}: expected {expected.words}; saw {seen}")
    for place, (stage, name) in enumerate(stages):
        if not may_be_called(stage):
            raise OnboardingError(f"--stage {stage}={name}: expected a name of a-z, 0-9 and single _, such as ranking")
        if any(stage == before or name == other for before, other in stages[:place]):
            raise OnboardingError(
                f"--stage {stage}={name}: a stage or a column that was named before; expected one of its own for each"
            )


def _pairs(event_columns: Mapping[str, Column], events: Events) -> pl.DataFrame:
    """Request and candidate of the events as texts; impressions alone, where there are some."""
    frame = pl.DataFrame(
        {
            "request": event_columns[events.request].ids,
            "candidate": event_columns[events.candidate].ids,
        }
    )
    if events.impression is not None and events.kind is not None:
        return frame.filter(event_columns[events.kind].values.cast(pl.String) == events.impression)
    return frame


def _shown(columns: Mapping[str, Column], keys: Keys, marks: Marks, pairs: pl.DataFrame | None) -> pl.Series:
    if marks.shown is not None:
        flags = as_flags(columns[marks.shown])
        assert flags is not None
        return flags
    assert pairs is not None
    rows = pl.DataFrame(
        {
            "request": columns[keys.request].ids,
            "candidate": columns[keys.candidate].ids,
        }
    )
    marked = rows.join(
        pairs.unique().with_columns(shown=True), on=["request", "candidate"], how="left", maintain_order="left"
    )
    return marked["shown"].fill_null(False)


def _tasks(columns: Mapping[str, Column], stages: Stages, events: Events | None, marks: Marks) -> tuple[TaskGuess, ...]:
    """The task that the stages predict, and one of conversions where a stage predicts them and they are logged."""
    if events is not None:
        kinds = list(events.outcomes)
    else:
        counts = {name: int((as_flags(columns[name]) == True).sum()) for name in marks.outcomes}  # type: ignore[union-attr] # noqa: E712
        kinds = [events_of_flag(name, count) for name, count in counts.items() if count]
    if not kinds and events is not None:
        raise OnboardingError(
            f"events: fewer than {LEAST_EVENTS} of one kind beside impressions in the sample; give the events of the "
            "same days as the candidates, or name the column that tells them apart: --column event.event=COLUMN"
        )
    if not kinds:
        raise OnboardingError(
            "no outcomes: looked for an event log of clicks (--events FILE), or a column of scored candidates such as "
            f"`clicked`, true on some shown rows. Columns are {names_told(columns.values())}"
        )
    kinds.sort(key=lambda kind: (kind.name != "click", -kind.count))
    first = TaskGuess(kinds[0], {stage.name: stage.column for stage in stages.stages})
    conversions = {stage.name: stage.conversion for stage in stages.stages if stage.conversion}
    if len(kinds) > 1 and conversions:
        return first, TaskGuess(kinds[1], conversions, given=first.kind.name)
    return (first,)


def _unlearnt(events: Events | None, tasks: tuple[TaskGuess, ...]) -> dict[str, str]:
    learnt = {task.kind.name for task in tasks}
    kinds = events.outcomes if events is not None else ()
    return {
        f"event {kind.name}": "nothing predicts it; declare a task to learn it"
        for kind in kinds
        if kind.name not in learnt
    }


def is_early(known_from: str | None, stages: Stages) -> bool:
    """Whether a feature is known at the stage that a student is of: the last but one, or the only one."""
    names = [stage.name for stage in stages.stages]
    return known_from is None or names.index(known_from) <= max(len(names) - 2, 0)
