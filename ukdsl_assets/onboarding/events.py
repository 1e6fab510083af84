"""What the columns of an event log are: whose outcome, which outcome, when, and of what value."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from ukdsl_assets.errors import OnboardingError
from ukdsl_assets.onboarding.columns import Column, Guess, sound_name
from ukdsl_assets.onboarding.keys import OF_CANDIDATES, OF_REQUESTS, Keys, likely, name_it
from ukdsl_assets.onboarding.moments import Moment, how_likely_the_time, moment_of, near_moments

_OF_KINDS = ("event", "type", "action", "kind", "interaction", "label", "activity")
_OF_VALUES = ("value", "revenue", "amount", "gmv", "price", "total", "payout", "sum")
IMPRESSIONS = ("impression", "imp", "view", "show", "display", "exposure", "viewed", "shown", "render")
CLICKS = ("click", "clicks", "clicked", "tap", "open")
# Windows that an event may count in; the shortest that holds nearly all of them is taken.
WINDOWS = {"P1D": 1.0, "P3D": 3.0, "P7D": 7.0, "P14D": 14.0, "P30D": 30.0}
_MOST_KINDS = 30
LEAST_EVENTS = 10


@dataclass(frozen=True)
class EventKind:
    """An event: its name in the declaration and in the file (None: all rows), and how late it comes.

    window: how long after the request 99 of 100 come, as a declaration writes it. delayed: whether more than a tenth
    come after five o'clock of the next day.
    """

    name: str
    value: str | None
    count: int
    window: str
    delayed: bool


@dataclass(frozen=True)
class Events:
    """Columns of the event log; kind: of the column that tells events apart; kinds: the most frequent first.

    before: the most by which an event is before its request, in seconds.
    """

    request: str
    candidate: str
    time: Moment
    kind: str | None
    kinds: tuple[EventKind, ...]
    impression: str | None
    value: str | None
    before: float
    guesses: tuple[Guess, ...]
    left_out: Mapping[str, str]

    @property
    def outcomes(self) -> tuple[EventKind, ...]:
        """Kinds that can be a task."""
        return tuple(kind for kind in self.kinds if kind.name != "impression")


def guess_events(
    columns: Mapping[str, Column], candidates: Mapping[str, Column], keys: Keys, chosen: Mapping[str, str], zone: str
) -> Events:
    """The columns of an event log, by their names and by how many of their values are ids of the scored candidates.

    Args:
        columns: of a sample of the event log. candidates: of the scored candidates.
        chosen: `event.COLUMN` of the contract -> column that a person named.
        zone: of times without one.

    Raises:
        OnboardingError: no column has the ids of the candidates, or no column is a time.
    """
    request, sure_request = _same_ids(columns, candidates[keys.request], OF_REQUESTS, chosen, "request_id", {})
    candidate, sure = _same_ids(columns, candidates[keys.candidate], OF_CANDIDATES, chosen, "candidate_id", {request})
    moments = [m for column in columns.values() if column.name not in (request, candidate) and (m := moment_of(column))]
    if "event.occurred_at" in chosen:
        moments = [moment for moment in moments if moment.column == chosen["event.occurred_at"]]
    if not moments:
        raise OnboardingError(
            f"events: no column of times.{near_moments(columns.values())} " + name_it(columns, "event.occurred_at")
        )
    time = max(moments, key=lambda each: how_likely_the_time(columns[each.column], "event", "click", "occurred"))
    used = {request, candidate, *(moment.column for moment in moments)}
    kind = _kind(columns, used, chosen)
    value = _value(columns, used | {str(kind)}, chosen)
    found, impression, before = _kinds(columns, candidates, keys, (request, candidate, time, kind), zone)
    guesses = [
        Guess("event.request_id", request, *sure_request),
        Guess("event.candidate_id", candidate, *sure),
        Guess(
            "event.occurred_at", time.column, (0.95 if len(moments) == 1 else 0.7) if time.has_zone else 0.5, time.form
        ),
    ]
    if kind is None:
        guesses.append(Guess("event", None, 0.7, "no column tells events apart: all are clicks"))
    else:
        told = ", ".join(f"{each.value} {each.count:,}" for each in found)
        known = columns[kind].has_word(*_OF_KINDS) or any(each.name == "click" for each in found)
        guesses.append(Guess("event", kind, 0.9 if known else 0.7, told))
    if value is not None:
        guesses.append(Guess("event.value", value, 0.7, "named so"))
    if before > 0:
        guesses.append(Guess("clock_tolerance", time.column, 0.6, f"events up to {before:.1f} s before their request"))
    used |= {str(kind), str(value)}
    left_out = {name: "no column of the event log" for name in columns if name not in used}
    left_out |= {m.column: f"another time beside {time.column}" for m in moments if m is not time}
    return Events(request, candidate, time, kind, found, impression, value, before, tuple(guesses), left_out)


def events_of_flag(flag: str, count: int) -> EventKind:
    """The event that a column of the scored candidates tells, at the moment of its request."""
    return EventKind(_event_name(flag), None, count, "P1D", False)


def _same_ids(
    columns: Mapping[str, Column],
    ids: Column,
    words: tuple[tuple[str, ...], ...],
    chosen: Mapping[str, str],
    what: str,
    taken: set[str] | dict[str, str],
) -> tuple[str, tuple[float, str]]:
    if f"event.{what}" in chosen:
        return chosen[f"event.{what}"], (1.0, "as you said")
    known = ids.ids.unique()
    found = []
    for column in columns.values():
        whole = column.is_whole and (column.name == ids.name or bool(likely(column, words)))
        if column.name in taken or not (column.dtype.is_integer() or column.is_text or whole):
            continue
        values = column.ids.drop_nulls()
        share = float(values.is_in(known.implode()).mean() or 0) if len(values) else 0.0  # type: ignore[arg-type]
        found.append((share >= 0.05, column.name == ids.name, likely(column, words), share, column.name))
    best = max(found, default=None)
    if best is None or not (best[1] or best[2] or best[3]):
        raise OnboardingError(
            f"events: no column has the {what}s of the candidates' column `{ids.name}`. "
            + name_it(columns, f"event.{what}")
        )
    _, same, named, share, name = best
    told = f"{share:.0%} of its values are {ids.name}s"
    return name, (0.95 if share >= 0.05 and (same or named) else 0.7 if share >= 0.5 else 0.5, told)


def _kind(columns: Mapping[str, Column], used: set[str], chosen: Mapping[str, str]) -> str | None:
    if "event.event" in chosen:
        return chosen["event.event"]
    texts = [c for c in columns.values() if c.name not in used and c.is_text and 1 <= c.distinct <= _MOST_KINDS]
    named = [c for c in texts if c.has_word(*_OF_KINDS)]
    # A column of other names tells events where one of its values is a click or an impression.
    telling = [*CLICKS, *IMPRESSIONS]
    named = named or [c for c in texts if c.values.cast(pl.String).str.to_lowercase().is_in(telling).any()]
    return named[0].name if named else None


def _value(columns: Mapping[str, Column], used: set[str], chosen: Mapping[str, str]) -> str | None:
    if "event.value" in chosen:
        return chosen["event.value"]
    numbers = [c for c in columns.values() if c.name not in used and c.low is not None and c.has_word(*_OF_VALUES)]
    return numbers[0].name if numbers else None


def _kinds(
    columns: Mapping[str, Column],
    candidates: Mapping[str, Column],
    keys: Keys,
    which: tuple[str, str, Moment, str | None],
    zone: str,
) -> tuple[tuple[EventKind, ...], str | None, float]:
    request, candidate, time, kind = which
    count = len(columns[request].values)
    kinds = pl.repeat("click", count, eager=True) if kind is None else columns[kind].values.cast(pl.String)
    rows = pl.DataFrame(
        {
            "request": columns[request].ids,
            "candidate": columns[candidate].ids,
            "at": time.read(columns[time.column].values, zone),
            "kind": kinds,
        }
    ).drop_nulls("kind")
    requests = pl.DataFrame(
        {
            "request": candidates[keys.request].ids,
            "requested": keys.time.read(candidates[keys.time.column].values, zone),
        }
    )
    delays = rows.join(requests.group_by("request").agg(pl.col("requested").min()), on="request")
    delays = delays.with_columns(delay=pl.col("at") - pl.col("requested"))
    early = delays.filter(pl.col("delay") < timedelta(0))["delay"].min()
    before = -early.total_seconds() if isinstance(early, timedelta) and early > -timedelta(hours=1) else 0.0
    found: list[EventKind] = []
    impression: str | None = None
    for value, count in rows.group_by("kind").len().sort("len", "kind", descending=[True, False]).iter_rows():
        late = delays.filter(pl.col("kind") == value)
        days = late["delay"].dt.total_seconds().quantile(0.99) if len(late) else None
        window = next((name for name, limit in WINDOWS.items() if days is not None and days <= 86_400 * limit), "P30D")
        window = "P1D" if days is None else window
        next_day = (pl.col("requested").dt.truncate("1d") + timedelta(hours=29)) < pl.col("at")
        delayed = bool(len(late) and float(late.select(next_day.mean()).item() or 0) > 0.1)
        name = _event_name(str(value))
        if name == "impression":
            impression = str(value)
        if count >= LEAST_EVENTS and name not in [each.name for each in found]:
            found.append(EventKind(name, None if kind is None else str(value), count, window, delayed))
    return tuple(found), impression, before


def _event_name(value: str) -> str:
    words = Column(value, pl.Series(), tuple(value.lower().replace("-", "_").split("_")), pl.Series(), 0, None, None)
    if words.has_word(*IMPRESSIONS):
        return "impression"
    if words.has_word(*CLICKS):
        return "click"
    return sound_name(value, ())
