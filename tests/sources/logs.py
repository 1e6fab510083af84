"""Small (or large) valid logs of any declared cascade, for tests."""

from datetime import UTC, date, datetime

import numpy as np
import polars as pl

from ukdsl_assets.cascade import Cascade, Feature, prediction_column, truth_column
from ukdsl_assets.sources.contract import TIMESTAMP, DayOfLogs, candidate_log_dtypes, event_log_dtypes

DAY_IN_MICROSECONDS = 86_400_000_000


def make_logs(cascade: Cascade, day: date, requests: int = 40, seed: int = 0, candidates: int = 12) -> DayOfLogs:
    """A valid day: random features, predictions and truths; about half the candidates of a stage reach the next.

    The first candidate of a request always reaches the last stage and is shown, as do some others; a tenth of the shown
    are explored. Events: an impression of each shown candidate, and each task's event on some (`given` respected).
    """
    random = np.random.default_rng([seed, day.toordinal()])
    rows = requests * candidates
    request = np.repeat(np.arange(requests), candidates)
    depth = _depths(random, requests, candidates, len(cascade.stages))
    shown = (depth == len(cascade.stages) - 1) & ((random.random(rows) < 0.5) | (np.arange(rows) % candidates == 0))
    explored = shown & (random.random(rows) < 0.1)
    columns: dict[str, pl.Series] = {
        "request_id": _identifiers(cascade, "r", day.toordinal() * 10_000_000 + request),
        "candidate_id": _identifiers(cascade, "c", 5 * np.tile(np.arange(candidates), requests)),
        "requested_at": _times(day, np.sort(random.integers(0, DAY_IN_MICROSECONDS, requests)))[request],
        "deepest_stage": pl.Series(np.array([stage.name for stage in cascade.stages])[depth]),
        "bid": pl.Series(random.gamma(2.0, 1.0, rows).astype(np.float32)),
        "shown": pl.Series(shown),
        "explored": pl.Series(explored),
        "propensity": _null_unless(explored, pl.Series(random.uniform(0.01, 1.0, rows).astype(np.float32))),
    }
    for position, stage in enumerate(cascade.stages):
        for predicted in cascade.predictions_of(stage.name):
            column = prediction_column(stage.name, predicted)
            columns[column] = _null_unless(depth >= position, _probabilities(random, rows))
    for feature in cascade.features:
        length = requests if feature.side == "request" else rows
        values = _feature(random, feature, length)
        columns[feature.name] = values[request] if feature.side == "request" else values
        if feature.known_from is not None:
            columns[feature.name] = _null_unless(depth >= cascade.depth(feature.known_from), columns[feature.name])
        if feature.served_as is not None:
            columns[feature.name] = _null_unless(shown, columns[feature.name])
    for task in cascade.tasks if cascade.has_truth else ():
        columns[truth_column(task.name)] = _probabilities(random, rows)
    log = pl.DataFrame({name: columns[name].cast(dtype) for name, dtype in candidate_log_dtypes(cascade).items()})
    return DayOfLogs(log, _events(cascade, log, random))


def _depths(random: np.random.Generator, requests: int, candidates: int, stages: int) -> np.ndarray:
    depth = np.minimum(random.geometric(0.5, (requests, candidates)) - 1, stages - 1)
    depth[:, 0] = stages - 1
    return depth.ravel()


def _identifiers(cascade: Cascade, prefix: str, numbers: np.ndarray) -> pl.Series:
    series = pl.Series(numbers)
    if cascade.identifiers == "integer":
        return series
    return pl.select(pl.lit(prefix) + series.cast(pl.String).str.zfill(15)).to_series()


def _times(day: date, microseconds: np.ndarray) -> pl.Series:
    start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000
    return pl.Series(start + microseconds).cast(TIMESTAMP)


def _probabilities(random: np.random.Generator, rows: int) -> pl.Series:
    return pl.Series(random.beta(1.0, 9.0, rows).astype(np.float32))


def _feature(random: np.random.Generator, feature: Feature, rows: int) -> pl.Series:
    if feature.kind == "vector":
        values = random.standard_normal((rows, feature.width or 1), dtype=np.float32)
        return pl.Series(values, dtype=pl.Array(pl.Float32, feature.width))
    if feature.kind == "numeric":
        return pl.Series(random.standard_normal(rows, dtype=np.float32))
    if feature.kind == "multi_valued":
        lists = [random.integers(0, 20, size).tolist() for size in random.integers(0, 4, rows)]
        of_one = pl.Int64() if feature.values == "integer" else pl.String()
        return pl.Series(lists, dtype=pl.List(pl.Int64)).cast(pl.List(of_one))
    codes = pl.Series(random.integers(0, 20, rows))
    return codes if feature.values == "integer" else codes.cast(pl.String)


def _null_unless(known: np.ndarray, series: pl.Series) -> pl.Series:
    return pl.select(pl.when(pl.Series(known)).then(series)).to_series()


def _events(cascade: Cascade, log: pl.DataFrame, random: np.random.Generator) -> pl.DataFrame:
    shown = log.filter("shown")
    happened = {"impression": np.ones(shown.height, dtype=bool)}
    by_task: dict[str, np.ndarray] = {}
    for task in cascade.tasks:
        given = by_task.get(task.given, True) if task.given else True
        by_task[task.name] = (random.random(shown.height) < 0.3) & given
        happened[task.event] = by_task[task.name] | happened.get(task.event, False)
    parts = [
        shown.filter(pl.Series(mask)).select(
            "request_id",
            "candidate_id",
            pl.lit(event).alias("event"),
            (pl.col("requested_at") + pl.duration(seconds=1 + index)).alias("occurred_at"),
            pl.lit(None, pl.Float32).alias("value"),
        )
        for index, (event, mask) in enumerate(happened.items())
    ]
    return (
        pl.concat(parts).select(*event_log_dtypes(cascade)).sort("request_id", "candidate_id", "occurred_at", "event")
    )
