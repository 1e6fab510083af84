"""The columns of the logs stand in the order of the contract; the schemas know every rule of a declaration."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.logs import make_logs
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.logs.contract import candidate_log_dtypes, candidate_log_schema, event_log_dtypes, event_log_schema
from ukdsl_assets.logs.gates import probes
from ukdsl_assets.logs.gates.rows import judge_candidate_log, judge_event_log

DAY = date(2026, 1, 3)


def test_columns_stand_in_the_order_of_the_contract(shop: Cascade) -> None:
    assert {name: str(dtype) for name, dtype in candidate_log_dtypes(shop).items()} == {
        "request_id": "String",
        "candidate_id": "String",
        "requested_at": "Datetime(time_unit='us', time_zone='UTC')",
        "deepest_stage": "String",
        "sort_buy_prediction": "Float32",
        "shown": "Boolean",
        "explored": "Boolean",
        "propensity": "Float32",
        "filter": "String",
        "income": "Float32",
        "price": "Float32",
        "image": "Array(Float32, shape=(3,))",
    }
    assert list(event_log_dtypes(shop)) == ["request_id", "candidate_id", "event", "occurred_at", "value"]


def test_bids_and_truths_are_columns_only_where_declared(ads: Cascade) -> None:
    names = list(candidate_log_dtypes(ads))
    assert names[-2:] == ["audit_true_click", "audit_true_conversion"]
    assert names.index("bid") == names.index("ranking_conversion_prediction") + 1


@pytest.mark.parametrize("name", ["ads", "shop"])
def test_the_schemas_accept_valid_logs(name: str, request: pytest.FixtureRequest) -> None:
    cascade = request.getfixturevalue(name)
    logs = make_logs(cascade, DAY)
    assert candidate_log_schema(cascade).is_valid(logs.candidate_log)
    assert event_log_schema(cascade).is_valid(logs.event_log)
    assert candidate_log_schema(cascade).column_names() == list(candidate_log_dtypes(cascade))


def test_the_schema_parts_good_rows_from_bad_ones(shop: Cascade) -> None:
    log = make_logs(shop, DAY, requests=10).candidate_log
    bad = log.with_row_index().with_columns(
        price=pl.when(pl.col("index") == 3).then(float("nan")).otherwise("price"),
        deepest_stage=pl.when(pl.col("index") == 7).then(pl.lit("basement")).otherwise("deepest_stage"),
        filter=pl.when(pl.col("index") == 25).then(pl.lit("other")).otherwise("filter"),
    )
    good, failure = candidate_log_schema(shop).filter(bad.drop("index"))
    # A request whose feature varies has no right row, so that all its 12 rows are bad.
    assert good.height == log.height - 2 - 12
    assert failure.counts()["filter|constant_within_request"] == 12


VALUES = {
    pl.Int64: st.sampled_from([None, 0, -1]),
    pl.String: st.sampled_from([None, "", "basement", "final", "sort", "order", "impression"]),
    pl.Boolean: st.sampled_from([None, True, False]),
    pl.Float32: st.sampled_from([None, float("nan"), float("inf"), -0.5, 0.0, 0.5, 1.0, 1.5]),
}


@st.composite
def faulty(draw: st.DrawFn, log: pl.DataFrame) -> pl.DataFrame:
    """A log in which up to three cells, picked at random, have another value, good or bad."""
    for _ in range(draw(st.integers(0, 3))):
        column, row = draw(st.sampled_from(log.columns)), draw(st.integers(0, log.height - 1))
        dtype = log.schema[column]
        value: Any
        if isinstance(dtype, pl.Datetime):
            value = draw(st.sampled_from([None, datetime(2026, 1, 3, 23, 59, 59, tzinfo=UTC)]))
        elif isinstance(dtype, pl.Array):
            value = draw(st.none() | st.lists(VALUES[pl.Float32], min_size=dtype.size, max_size=dtype.size))
        else:
            # A value of another row repeats a key or moves a row to another request.
            value = draw(VALUES[type(dtype)] | st.sampled_from(log[column].to_list()))
        log = log.with_columns(
            pl.when(pl.int_range(pl.len()) == row).then(pl.lit(value, dtype=dtype)).otherwise(column).alias(column)
        )
    return log


@settings(max_examples=60)
@given(data=st.data())
@pytest.mark.parametrize("name", ["ads", "shop"])
def test_the_schema_of_the_candidate_log_agrees_with_the_audit(
    name: str, request: pytest.FixtureRequest, data: st.DataObject
) -> None:
    cascade = request.getfixturevalue(name)
    log = data.draw(faulty(make_logs(cascade, DAY, requests=4, candidates=3).candidate_log))
    # Whether enough requests have late predictions, and probes stand for what was rejected, is no matter of rows.
    of_days = {"late_stage_present", probes.GATE}
    audited = [gate for gate in judge_candidate_log(cascade, DAY, log) if gate.name not in of_days]
    assert candidate_log_schema(cascade).is_valid(log) == all(gate.passed for gate in audited)


@settings(max_examples=60)
@given(data=st.data())
def test_the_schema_of_the_event_log_agrees_with_the_audit(shop: Cascade, data: st.DataObject) -> None:
    logs = make_logs(shop, DAY, requests=4, candidates=3)
    log = data.draw(faulty(logs.event_log))
    contract, _ = judge_event_log(shop, DAY, log, logs.candidate_log)
    # The schema sees no requests.
    broken = contract.seen.keys() - {"rows", "occurred_at: not before its request's requested_at"}
    assert event_log_schema(shop).is_valid(log) == (not broken)
