"""Logs that lack values: taken as declared, else refused by the key that would allow it; nothing is to be left out."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from tests.fixtures.log_faults import every, where
from tests.fixtures.logs import make_logs
from tests.fixtures.shop import DECLARATION
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.gates import GateResult
from ukdsl_assets.logs.contract import DayOfLogs, candidate_log_schema
from ukdsl_assets.logs.gates.day import judge_shards

DAY = date(2026, 3, 1)
NAN = float("nan")
LATE = {"name": "late", "kind": "numeric", "side": "request", "known_from": "ranking"}
FEATURES: list[dict[str, Any]] = [*DECLARATION["features"], LATE]
VALUES = {
    "country": None,
    "item": None,
    "price": NAN,
    "image": [NAN] * 3,
    "tags": None,
    "interests": None,
    "late": None,
}


def shop(missing: str) -> Cascade:
    features = [feature | {"missing": missing} for feature in FEATURES]
    source = {"kind": "parquet", "path": "x"}
    return Cascade.model_validate(DECLARATION | {"features": features, "source": source})


def judged(cascade: Cascade, log: pl.DataFrame) -> tuple[GateResult, pl.DataFrame]:
    """The verdict on the contract, and the log as it is kept."""
    kept: list[pl.DataFrame] = []
    logs = [DayOfLogs(log, make_logs(cascade, DAY).event_log.clear())]
    results = judge_shards(cascade, DAY, logs, [], lambda shard: kept.append(shard.candidate_log)).candidate_log
    return next(result for result in results if result.name == "contract"), kept[0]


def of_requests(step: int) -> pl.Expr:
    return pl.col("request_id").rank("dense") % step == 1


@pytest.mark.parametrize("name", VALUES)
def test_a_missing_value_is_kept_as_null_where_it_is_allowed_and_refused_by_the_key_elsewhere(name: str) -> None:
    allowed, refused = shop("allowed"), shop("refused")
    clean = make_logs(allowed, DAY).candidate_log
    side = next(feature.side for feature in allowed.features if feature.name == name)
    planted = of_requests(4) if side == "request" else every(7)
    log = where(planted, name, VALUES[name])(clean)
    verdict, kept = judged(allowed, log)
    assert verdict.passed, verdict.message
    assert kept.filter(planted)[name].null_count() == clean.filter(planted).height
    assert kept.filter(~planted).equals(clean.filter(~planted))
    assert candidate_log_schema(allowed).is_valid(log)
    verdict, _ = judged(refused, log)
    assert not verdict.passed
    assert f"`{name}`" in verdict.message
    assert "`missing: allowed`" in verdict.message
    assert "leave" not in verdict.message
    assert not candidate_log_schema(refused).is_valid(log)


@pytest.mark.parametrize("name", ["country", "late", "interests"])
def test_a_request_that_has_a_value_on_some_of_its_rows_alone_is_refused(name: str) -> None:
    cascade = shop("allowed")
    log = where(every(5) & (pl.col("deepest_stage") == "ranking"), name, VALUES[name])(
        make_logs(cascade, DAY).candidate_log
    )
    verdict, _ = judged(cascade, log)
    assert f"{name}: one value per request" in verdict.seen
    assert not candidate_log_schema(cascade).is_valid(log)


@pytest.mark.parametrize(
    ("name", "value"), [("price", float("inf")), ("image", [NAN, 1.0, 1.0]), ("image", [None, 1.0, 1.0])]
)
def test_what_is_broken_is_not_missing(name: str, value: object) -> None:
    cascade = shop("allowed")
    log = where(every(7), name, value)(make_logs(cascade, DAY).candidate_log)
    verdict, _ = judged(cascade, log)
    assert f"{name}: finite, or missing as a whole" in verdict.seen
    assert "or write null for all of it" in verdict.message
    assert "`missing: allowed`" not in verdict.message
    assert not candidate_log_schema(cascade).is_valid(log)


def test_a_column_of_another_type_is_told_as_before() -> None:
    cascade = shop("allowed")
    log = make_logs(cascade, DAY).candidate_log.with_columns(price=pl.lit("cheap"))
    assert "column `price` is String, expected Float32" in judged(cascade, log)[0].message
