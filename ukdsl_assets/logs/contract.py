"""The contract of the logs, built from a cascade's declaration: column types, dataframely schemas, and conforming.

A request_id names one request of the whole cascade, not of one day: windows of several days join and split by it.

Logs can be checked where they are made, with the rules that the gates apply (but for those that need the day or the
other log), by names that the package itself offers (docs/public.md); this module may move:

    from ukdsl_assets import candidate_log_schema, read_cascade

    good, failure = candidate_log_schema(read_cascade(Path("my_cascade.yaml"))).filter(frame)
    print(failure.counts())
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import KEYS, prediction_column, truth_column
from ukdsl_assets.errors import LogsError
from ukdsl_assets.frames.casts import TIMESTAMP
from ukdsl_assets.frames.conform import feature_dtype
from ukdsl_assets.logs.rules import (
    IMPRESSION,
    Rule,
    candidate_log_rules,
    constant_columns,
    constant_within_request,
    event_log_rules,
    nullable_columns,
)

if TYPE_CHECKING:
    # It loads SQLAlchemy, and no day of the pipeline needs it.
    import dataframely as dy

LogName = Literal["candidate_log", "event_log"]
CANDIDATE_ORDER = KEYS
EVENT_ORDER = (*KEYS, "occurred_at", "event")
# Rows of a part of a day: some 50 MB of an ads log, and as many as polars writes to a row group.
ROWS_AT_ONCE = 1 << 18


class DayOfLogs(NamedTuple):
    """One UTC day of logs, or a part or shard of it; column types and order are those of the contract."""

    candidate_log: pl.DataFrame
    event_log: pl.DataFrame


def candidate_log_dtypes(cascade: Cascade) -> dict[str, pl.DataType]:
    """Columns of the candidate log in order, with their types."""
    identifier = pl.Int64() if cascade.identifiers == "integer" else pl.String()
    predictions = [
        prediction_column(stage.name, task) for stage in cascade.stages for task in cascade.predictions_of(stage.name)
    ]
    truths = [truth_column(task.name) for task in cascade.tasks] if cascade.has_truth else []
    return {
        "request_id": identifier,
        "candidate_id": identifier,
        "requested_at": TIMESTAMP,
        "deepest_stage": pl.String(),
        **dict.fromkeys(predictions, pl.Float32()),
        **({"bid": pl.Float32()} if cascade.has_bid else {}),
        "shown": pl.Boolean(),
        "explored": pl.Boolean(),
        "propensity": pl.Float32(),
        **({"probed": pl.Boolean(), "probe_rate": pl.Float32()} if cascade.has_probes else {}),
        **{feature.name: feature_dtype(feature) for feature in cascade.features},
        **dict.fromkeys(truths, pl.Float32()),
    }


def event_log_dtypes(cascade: Cascade) -> dict[str, pl.DataType]:
    """Columns of the event log in order, with their types."""
    identifier = pl.Int64() if cascade.identifiers == "integer" else pl.String()
    return {
        "request_id": identifier,
        "candidate_id": identifier,
        "event": pl.String(),
        "occurred_at": TIMESTAMP,
        "value": pl.Float32(),
    }


def candidate_log_meanings(cascade: Cascade) -> dict[str, str]:
    """What each column of `candidate_log_dtypes` says, in the same order."""
    predictions = {
        prediction_column(stage.name, task): f"{stage.name}'s own probability of {task}; null where it did not score"
        for stage in cascade.stages
        for task in cascade.predictions_of(stage.name)
    }
    meanings = {
        "request_id": "names one request of the whole cascade, not of one day",
        "candidate_id": "names a candidate; a request has each once",
        "requested_at": "when the request came in, inside the day (UTC)",
        "deepest_stage": "the last stage that scored it in the ordinary way",
        **predictions,
        "bid": "what the auction multiplies predictions with, 0 or more",
        "shown": "whether the user saw it",
        "explored": "whether a randomised policy showed it",
        "propensity": "the probability with which that policy showed it; null where not explored",
        "probed": "whether its stage rejected it and the next stage scored it all the same, to learn from",
        "probe_rate": "the share of its stage's rejected rows that probes were drawn with; null where not probed",
        **{feature.name: f"feature: {feature.kind}, of the {feature.side}" for feature in cascade.features},
        **{
            truth_column(task.name): f"the true probability of {task.name}; no training reads it"
            for task in cascade.tasks
        },
    }
    return {name: meanings[name] for name in candidate_log_dtypes(cascade)}


def event_log_meanings() -> dict[str, str]:
    """What each column of `event_log_dtypes` says, in the same order."""
    return {
        "request_id": "the request that it came of",
        "candidate_id": "the candidate, which was shown",
        "event": f"what happened: the event of a declared task, or {IMPRESSION}",
        "occurred_at": "when it happened, at or after the request",
        "value": "what it was worth; may be null",
    }


def candidate_log_schema(cascade: Cascade) -> "type[dy.Schema]":
    """A dataframely schema of the candidate log, to validate, filter or document logs outside the pipeline.

    It knows no day: that `requested_at` lies inside the partition is for the gates.

    Example:

        >>> from pathlib import Path
        >>> import ukdsl_assets
        >>> shipped = Path(ukdsl_assets.__file__).parent / "cascades"
        >>> cascade = ukdsl_assets.read_cascade(shipped / "simulated_ads.yaml")
        >>> schema = ukdsl_assets.candidate_log_schema(cascade)
        >>> schema.column_names()[:4]
        ['request_id', 'candidate_id', 'requested_at', 'deepest_stage']
        >>> schema.primary_key()
        ['request_id', 'candidate_id']
        >>> {name: schema.columns()[name].nullable for name in ("bid", "propensity")}
        {'bid': False, 'propensity': True}
    """
    constant = {
        f"{column}|constant_within_request": constant_within_request(cascade, column)
        for column in constant_columns(cascade)
    }
    kept = _kept(candidate_log_rules(cascade)) | constant
    with_nan = frozenset(feature.name for feature in cascade.features if feature.may_be_missing)
    return _schema("CandidateLog", candidate_log_dtypes(cascade), nullable_columns(cascade), KEYS, kept, with_nan)


def event_log_schema(cascade: Cascade) -> "type[dy.Schema]":
    """A dataframely schema of the event log; that its candidates exist and were shown is for the gates.

    Example, an event that no task declares:

        >>> from datetime import UTC, datetime
        >>> from pathlib import Path
        >>> import polars as pl
        >>> import ukdsl_assets
        >>> shipped = Path(ukdsl_assets.__file__).parent / "cascades"
        >>> schema = ukdsl_assets.event_log_schema(ukdsl_assets.read_cascade(shipped / "simulated_ads.yaml"))
        >>> events = pl.DataFrame({"request_id": [1, 1], "candidate_id": [7, 8], "event": ["click", "view"]})
        >>> noon = pl.lit(datetime(2026, 1, 1, 12, tzinfo=UTC))
        >>> good, failure = schema.filter(events.with_columns(occurred_at=noon, value=pl.lit(None, pl.Float32)))
        >>> good["event"].to_list(), failure.counts()
        (['click'], {'event|one of click, conversion, impression': 1})
    """
    kept = _kept(event_log_rules(cascade))
    return _schema("EventLog", event_log_dtypes(cascade), nullable_columns(cascade), (), kept)


@contextmanager
def reading(log: LogName) -> Iterator[None]:
    """Mark errors that are raised inside as being about one log."""
    try:
        yield
    except LogsError as error:
        error.log = log
        raise


def _kept(rules: list[Rule]) -> dict[str, pl.Expr]:
    return {f"{rule.column}|{rule.expected}": ~rule.bad for rule in rules}


def _schema(
    name: str,
    dtypes: Mapping[str, pl.DataType],
    nullable: frozenset[str],
    keys: tuple[str, ...],
    kept: Mapping[str, pl.Expr],
    with_nan: frozenset[str] = frozenset(),
) -> "type[dy.Schema]":
    """with_nan: columns of numbers in which NaN is a missing value; what else must hold of them `kept` says."""
    import dataframely as dy

    # Members are numbered and aliased: a feature may be called like a method of Schema, e.g. `filter`.
    columns = {
        f"column_{index}": _schema_column(
            dtype, column in with_nan, alias=column, nullable=column in nullable, primary_key=column in keys
        )
        for index, (column, dtype) in enumerate(dtypes.items())
    }
    rules = {rule: dy.rule()(_returns(expression)) for rule, expression in kept.items()}
    return type(name, (dy.Schema,), {"__module__": __name__, **columns, **rules})


def _schema_column(dtype: pl.DataType, with_nan: bool, **options: Any) -> "dy.Column":
    import dataframely as dy

    if isinstance(dtype, pl.Datetime):
        return dy.Datetime(time_unit="us", time_zone="UTC", **options)
    if isinstance(dtype, pl.Array):
        inner_number = dy.Float32(nullable=True, allow_nan=True) if with_nan else dy.Float32()
        return dy.Array(inner_number, dtype.size, **options)
    if isinstance(dtype, pl.List):
        inner = dy.Int64(nullable=False) if dtype.inner == pl.Int64 else dy.String(nullable=False)
        return dy.List(inner, **options)
    simple: dict[type[pl.DataType], Callable[..., dy.Column]] = {
        pl.Int64: dy.Int64,
        pl.String: dy.String,
        pl.Float32: dy.Float32,
        pl.Boolean: dy.Bool,
    }
    if with_nan and dtype == pl.Float32:
        options["allow_nan"] = True
    return simple[type(dtype)](**options)


def _returns(expression: pl.Expr) -> Callable[[Any], pl.Expr]:
    return lambda schema: expression
