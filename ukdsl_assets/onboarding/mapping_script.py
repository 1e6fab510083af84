"""The mapping as a script of its own: polars alone, to be read, edited, and run again for each new day."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from ukdsl_assets.declaration.columns import prediction_column
from ukdsl_assets.onboarding.columns import Column, col, flags_expression
from ukdsl_assets.onboarding.events import Events, events_of_flag
from ukdsl_assets.onboarding.guess import Guessed
from ukdsl_assets.onboarding.raw import READERS, RawFormat
from ukdsl_assets.onboarding.templates import filled_in

TEMPLATE = "mapping.py.jinja"


@dataclass(frozen=True)
class Line:
    """A column of a log, what it is made of, and why a person should look at it (None: it is sure)."""

    name: str
    expression: str
    check: str | None = None


def mapping_script(guessed: Guessed, candidates: RawFormat, events: RawFormat | None) -> str:
    """The script's text; it reads files of the formats and writes what the declaration of the same guesses names."""
    return filled_in(
        TEMPLATE,
        candidates=READERS[candidates],
        events=READERS[events] if events is not None and guessed.events is not None else None,
        shown_by_events=guessed.marks.shown is None,
        logged=[*_logged(guessed)],
        features=[
            Line(each.feature.name, each.expression, guessed.doubt(f"feature {each.feature.name}"))
            for each in guessed.features.features
        ],
        deepest=_deepest(guessed),
        event_columns=[] if guessed.events is None else [*_event_columns(guessed, guessed.events)],
        flags=[*_flags(guessed)],
        **_zone(guessed),
        typed=_typed(guessed, candidates, events),
    )


def _logged(guessed: Guessed) -> Iterator[Line]:
    """The contract's own columns of the candidate log."""
    keys, columns, marks = guessed.keys, guessed.columns, guessed.marks
    yield Line("request_id", _id(guessed, columns[keys.request]), guessed.doubt("request_id"))
    yield Line("candidate_id", _id(guessed, columns[keys.candidate]), guessed.doubt("candidate_id"))
    one_a_request = "" if keys.one_time else f".min().over({col(keys.request)})"
    yield Line("requested_at", keys.time.expression() + one_a_request, guessed.doubt("requested_at"))
    for task in guessed.tasks:
        for stage, name in task.predictions.items():
            what = f"stage {stage}" + (", conversions" if task.given else "")
            yield Line(prediction_column(stage, task.kind.name), _prediction(columns[name]), guessed.doubt(what))
    if marks.bid is not None:
        yield Line("bid", f"{col(marks.bid)}.cast(pl.Float32)", guessed.doubt("bid"))
    shown = "pl.lit(False)"
    if marks.shown is not None:
        # Where it was always known, a later null is a fault of the log, which the contract is to refuse.
        shown = flags_expression(columns[marks.shown], columns[marks.shown].values.null_count() > 0)
    yield Line("shown", shown, guessed.doubt("shown"))
    if marks.explored is None or marks.propensity is None:
        yield Line("explored", "pl.lit(False)")
        yield Line("propensity", "pl.lit(None, pl.Float32)")
    else:
        yield Line("explored", flags_expression(columns[marks.explored]), guessed.doubt("explored"))
        yield Line("propensity", f"{col(marks.propensity)}.cast(pl.Float32)", guessed.doubt("propensity"))


def _event_columns(guessed: Guessed, events: Events) -> Iterator[Line]:
    columns = guessed.event_columns
    yield Line("request_id", _id(guessed, columns[events.request]), guessed.doubt("event.request_id"))
    yield Line("candidate_id", _id(guessed, columns[events.candidate]), guessed.doubt("event.candidate_id"))
    event = 'pl.lit("click")'
    if events.kind is not None:
        learnt = {task.kind.name for task in guessed.tasks}
        renamed = {str(kind.value): kind.name for kind in events.kinds if kind.name in learnt}
        renamed |= {events.impression: "impression"} if events.impression is not None else {}
        names = json.dumps(renamed, ensure_ascii=False)
        event = f"{col(events.kind)}.cast(pl.String).replace_strict({names}, default=None)"
    yield Line("event", event, guessed.doubt("event"))
    yield Line("occurred_at", events.time.expression(), guessed.doubt("event.occurred_at"))
    value = "pl.lit(None, pl.Float32)" if events.value is None else f"{col(events.value)}.cast(pl.Float32)"
    yield Line("value", value, guessed.doubt("event.value"))


def _flags(guessed: Guessed) -> Iterator[tuple[str, str]]:
    """Events that stand on the scored candidates, and the expression that is true where they happened."""
    learnt = {task.kind.name for task in guessed.tasks}
    for name in guessed.marks.outcomes:
        if (event := events_of_flag(name, 0).name) in learnt:
            yield event, flags_expression(guessed.columns[name])


def _deepest(guessed: Guessed) -> str:
    """The last stage whose prediction is there."""
    first, *later = guessed.stages.stages
    if not later:
        return f'pl.lit("{first.name}")'
    scored = {each.name: prediction_column(each.name, guessed.tasks[0].kind.name) for each in reversed(later)}
    cases = [f'.when(pl.col("{name}").is_not_null())\n    .then(pl.lit("{stage}"))' for stage, name in scored.items()]
    chain = "\n    ".join([*cases, f'.otherwise(pl.lit("{first.name}"))'])
    return f"(\n    pl{chain}\n)"


def _id(guessed: Guessed, column: Column) -> str:
    if guessed.identifiers == "integer":
        return f"{col(column.name)}.cast(pl.Int64)"
    if column.is_whole:
        return f"{col(column.name)}.cast(pl.Int64).cast(pl.String)"
    return col(column.name) if column.dtype == pl.String else f"{col(column.name)}.cast(pl.String)"


def _prediction(column: Column) -> str:
    value = f"{col(column.name)}.cast(pl.Float32)"
    # In what went through a text or pandas NaN stands for null.
    value += ".fill_nan(None)" if column.dtype.is_float() else ""
    return f"pl.when({col(column.name)} >= 0).then({value})" if column.sentinel else value


def _zone(guessed: Guessed) -> dict[str, Any]:
    moments = [guessed.keys.time] + ([guessed.events.time] if guessed.events is not None else [])
    local = any(not moment.has_zone for moment in moments)
    return {
        "zone": json.dumps(guessed.zone) if local else None,
        "zone_check": "say which; UTC was taken" if local and not guessed.zone_said else None,
    }


def _typed(guessed: Guessed, candidates: RawFormat, events: RawFormat | None) -> dict[str, dict[str, str]]:
    """Types of the columns of files that are texts, by the name that the script has for them."""
    found: dict[str, dict[str, str]] = {}
    if READERS[candidates].typed:
        found["CANDIDATE_TYPES"] = _types(guessed.columns)
    if events is not None and guessed.events is not None and READERS[events].typed:
        found["EVENT_TYPES"] = _types(guessed.event_columns)
    return found


def _types(columns: Mapping[str, Column]) -> dict[str, str]:
    texts = {json.dumps(name, ensure_ascii=False): _type_text(column.dtype) for name, column in columns.items()}
    return {name: text for name, text in texts.items() if text is not None}


def _type_text(dtype: Any) -> str | None:
    """A type as a script has it; None where it need not be said, since nothing is read of the column."""
    if isinstance(dtype, pl.List):
        inner = _type_text(dtype.inner)
        return None if inner is None else f"pl.List({inner})"
    return f"pl.{dtype}" if dtype.is_numeric() or dtype in (pl.String, pl.Boolean) else None
