"""Which columns of scored candidates say what became of a row: shown, clicked, explored and how likely, and its bid."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from ukdsl_assets.errors import OnboardingError
from ukdsl_assets.onboarding.columns import Column, Guess, as_flags
from ukdsl_assets.onboarding.events import IMPRESSIONS, Events
from ukdsl_assets.onboarding.keys import NEARLY_ALL, Keys, name_it
from ukdsl_assets.onboarding.stages import Stages

_OF_SHOWN = ("shown", "won", "win", "winner", "displayed", "served", "exposed", "delivered", "rendered", *IMPRESSIONS)
_OF_OUTCOMES = (
    "click",
    "clicked",
    "clicks",
    "converted",
    "conversion",
    "purchased",
    "purchase",
    "bought",
    "ordered",
    "order",
    "label",
    "liked",
)
_OF_EXPLORATION = ("explored", "explore", "exploration", "random", "randomised", "randomized", "epsilon")
_OF_PROPENSITY = ("propensity", "ips", "show", "propensities")
_FEW_VALUES = 5
_OF_BIDS = ("bid", "cpc", "cpm")
_OF_ADS = ("auction", "bid", "won", "win", "winner", "campaign", "advertiser", "ad", "ads", "adgroup")


@dataclass(frozen=True)
class Marks:
    """Columns of what became of a row; None where there is none.

    shown: None where the event log's impressions say it. outcomes: flags of clicks and so on, where no event log does.
    """

    shown: str | None
    outcomes: tuple[str, ...]
    explored: str | None
    propensity: str | None
    bid: str | None
    guesses: tuple[Guess, ...]
    left_out: Mapping[str, str]


def guess_marks(
    columns: Mapping[str, Column],
    keys: Keys,
    stages: Stages,
    events: Events | None,
    chosen: Mapping[str, str],
    event_keys: pl.DataFrame | None,
) -> Marks:
    """The marks of scored candidates, by their names and by which rows they mark.

    Shown is what all events happened on, and what the last stage has scored.

    Args:
        event_keys: request and candidate of the events as texts; None without an event log.

    Raises:
        OnboardingError: nothing says what was shown.
    """
    used = {keys.request, keys.candidate, keys.time.column}
    used |= {name for stage in stages.stages for name in (stage.column, stage.conversion) if name}
    flags = {c.name: flag for c in columns.values() if c.name not in used and (flag := as_flags(c)) is not None}
    ranked = columns[stages.stages[-1].column].present
    happened = None if event_keys is None else _happened(columns, keys, event_keys)
    explored, propensity, exploration = _exploration(columns, used, flags, chosen)
    outcomes = tuple(
        n for n in flags if columns[n].has_word(*_OF_OUTCOMES) and n not in (chosen.get("shown"), explored)
    )
    shown, told = _shown(
        columns, {n: f for n, f in flags.items() if n not in (*outcomes, explored)}, ranked, happened, chosen
    )
    guesses = []
    if shown is None and not (events is not None and events.impression):
        raise OnboardingError(
            "no column says what was shown: looked for true and false, or 0 and 1, true on some rows that the last "
            f"stage scored, or impressions among the events.{_named_so(columns, flags)} {name_it(columns, 'shown')}"
        )
    guesses.append(
        Guess("shown", shown, *told) if shown else Guess("shown", None, 0.6, "by the impressions of the event log")
    )
    bid, sure = _bid(columns, used, chosen)
    if bid is not None:
        guesses.append(Guess("bid", bid, *sure))
    left_out = {}
    if explored is None and propensity is not None:
        left_out[propensity], propensity = "a propensity, but no column says which rows were explored", None
    if explored is not None and propensity is None:
        left_out[explored], explored = "explored rows without a propensity; name it: --column propensity=COLUMN", None
    if explored is not None:
        guesses += exploration
    left_out |= (
        dict.fromkeys(outcomes, "an outcome; outcomes are taken from the event log") if events is not None else {}
    )
    for name in [] if events is not None else outcomes:
        guesses.append(Guess("event", name, 0.6, "events at the moment of the request"))
    return Marks(shown, outcomes if events is None else (), explored, propensity, bid, tuple(guesses), left_out)


def _named_so(columns: Mapping[str, Column], flags: Mapping[str, pl.Series]) -> str:
    """A sentence on columns that are called so and are no mark of shown rows; empty without one."""
    seen = []
    for column in columns.values():
        if not column.has_word(*_OF_SHOWN):
            continue
        if column.name in flags:
            seen.append(f"`{column.name}`, true on {float(flags[column.name].mean() or 0):.0%} of the rows")  # type: ignore[arg-type]
        elif 1 <= column.distinct <= _FEW_VALUES:
            values = column.values.unique(maintain_order=True).to_list()
            seen.append(f"`{column.name}` with {', '.join(map(repr, values))}")
    return f" Saw {'; '.join(seen)}." if seen else ""


def _happened(columns: Mapping[str, Column], keys: Keys, event_keys: pl.DataFrame) -> pl.Series:
    rows = pl.DataFrame(
        {
            "request": columns[keys.request].ids,
            "candidate": columns[keys.candidate].ids,
        }
    )
    marked = rows.join(
        event_keys.unique().with_columns(happened=True), on=["request", "candidate"], how="left", maintain_order="left"
    )
    return marked["happened"].fill_null(False)


def _shown(
    columns: Mapping[str, Column],
    flags: Mapping[str, pl.Series],
    ranked: pl.Series,
    happened: pl.Series | None,
    chosen: Mapping[str, str],
) -> tuple[str | None, tuple[float, str]]:
    if "shown" in chosen:
        return chosen["shown"], (1.0, "as you said")
    found = []
    for name, flag in flags.items():
        share = float(flag.mean() or 0)  # type: ignore[arg-type]
        # A request may show what a stage before the last one handed on, where the last did not answer.
        inside = float(ranked.filter(flag).mean() or 0)  # type: ignore[arg-type]
        if not 0 < share < 1 or inside < 0.9:
            continue
        covered = float(flag.filter(happened).mean() or 0) if happened is not None and happened.any() else None  # type: ignore[arg-type]
        if covered is not None and covered < 0.9:
            continue
        found.append((columns[name].has_word(*_OF_SHOWN), covered or 0.0, -share, name))
    if not found:
        return None, (0.0, "")
    named, covered, share, name = max(found)
    told = f"true on {-share:.1%} of the rows"
    told += f", {covered:.0%} of the events are on them" if covered else ""
    return name, (0.95 if named and covered >= NEARLY_ALL else 0.85 if named else 0.6, told)


def _exploration(
    columns: Mapping[str, Column], used: set[str], flags: Mapping[str, pl.Series], chosen: Mapping[str, str]
) -> tuple[str | None, str | None, list[Guess]]:
    explored = chosen.get("explored") or next((n for n in flags if columns[n].has_word(*_OF_EXPLORATION)), None)
    rates = [
        c.name
        for c in columns.values()
        if c.name not in used
        and c.low is not None
        and c.high is not None
        and c.low >= 0
        and c.high <= 1
        and c.has_word(*_OF_PROPENSITY)
        and c.name not in flags
    ]
    propensity = chosen.get("propensity") or next(iter(rates), None)
    confidence = 0.7
    guesses = [
        Guess("explored", explored, confidence, "named so; shown by chance, not by score"),
        Guess("propensity", propensity, confidence, "named so; the chance by which an explored row was shown"),
    ]
    return explored, propensity, guesses


def _bid(
    columns: Mapping[str, Column], used: set[str], chosen: Mapping[str, str]
) -> tuple[str | None, tuple[float, str]]:
    if "bid" in chosen:
        return chosen["bid"], (1.0, "as you said")
    money = [
        c
        for c in columns.values()
        if c.name not in used and c.full and c.low is not None and c.low >= 0 and c.distinct > 2
    ]
    for column in money:
        if set(column.words) & {*_OF_BIDS}:
            return column.name, (0.9, "named so")
    # Where ads are ranked, their price is what is bid; in a shop it is a feature.
    ads = any(set(column.words) & {*_OF_ADS} for column in columns.values())
    for column in money if ads else []:
        if column.words in (("price",), ("max", "price")):
            return column.name, (0.6, "a price where ads are ranked; else a feature")
    return None, (0.0, "")
