"""Every planted fault is found by the right gate, with column and count, and a clean log passes every gate."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.log_faults import ADS_FAULTS, Fault, every, where
from tests.fixtures.logs import make_logs
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.gates import GateResult, blocking
from ukdsl_assets.logs.gates.rows import judge_candidate_log, judge_event_log

DAY = date(2026, 1, 3)
CANDIDATE_GATES = ["contract", "keys_unique", "probabilities_valid", "late_stage_present", "probe_rates_true"]


def failed(results: list[GateResult]) -> dict[str, GateResult]:
    found = [result for result in results if not result.passed and result.severity == "ERROR"]
    assert blocking(results) == found
    return {result.name: result for result in found}


@pytest.mark.parametrize("shipped", sorted(path.stem for path in SHIPPED.glob("*.yaml")))
def test_a_clean_log_of_a_shipped_cascade_passes_every_gate(shipped: str) -> None:
    cascade = read_cascade(SHIPPED / f"{shipped}.yaml")
    logs = make_logs(cascade, DAY)
    results = judge_candidate_log(cascade, DAY, logs.candidate_log)
    assert [result.name for result in results] == CANDIDATE_GATES
    events = judge_event_log(cascade, DAY, logs.event_log, logs.candidate_log)
    assert [result.name for result in events] == ["contract", "events_have_candidates"]
    assert not failed([*results, *events])


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), requests=st.integers(1, 30), candidates=st.integers(1, 20))
def test_clean_logs_pass_whatever_their_values_and_order(
    shop: Cascade, seed: int, requests: int, candidates: int
) -> None:
    logs = make_logs(shop, DAY, requests, seed, candidates)
    shuffled = logs.candidate_log.sample(fraction=1, shuffle=True, seed=seed)
    assert not failed(judge_candidate_log(shop, DAY, logs.candidate_log))
    assert not failed(judge_candidate_log(shop, DAY, shuffled))
    assert not failed(judge_event_log(shop, DAY, logs.event_log.reverse(), shuffled))


@pytest.mark.parametrize("shown", [True, False], ids=["missing where shown", "there where not shown"])
def test_a_slot_is_null_exactly_on_what_was_not_shown(shown: bool) -> None:
    cascade = read_cascade(SHIPPED / "simulated_item_page.yaml")
    log = make_logs(cascade, DAY).candidate_log
    planted = every(5) & (pl.col("shown") == shown)
    broken = where(planted, "slot", None if shown else 1)(log)
    found = failed(judge_candidate_log(cascade, DAY, broken))
    assert list(found) == ["contract"]
    assert found["contract"].seen["slot: null exactly on candidates that were not shown"] == log.filter(planted).height


@pytest.mark.parametrize(("plant", "gate", "column", "planted"), ADS_FAULTS)
def test_a_planted_fault_is_found_with_its_column_and_count(
    ads: Cascade, plant: Fault, gate: str, column: str, planted: pl.Expr
) -> None:
    clean = make_logs(ads, DAY).candidate_log
    rows = clean.filter(planted)
    assert rows.height > 0
    result = failed(judge_candidate_log(ads, DAY, plant(clean)))[gate]
    assert rows.height in [count for rule, count in result.seen.items() if rule.startswith(f"{column}: ")]
    first = rows.select("request_id", "candidate_id").row(0)
    for part in ("candidate_log of simulated_ads, 2026-01-03", f"`{column}`: {rows.height} of 480 rows", str(first)):
        assert part in result.message


def test_a_fault_fails_only_its_own_gate(ads: Cascade) -> None:
    clean = make_logs(ads, DAY).candidate_log
    too_high = where(every(9), "audit_true_click", 1.5)(clean)
    assert list(failed(judge_candidate_log(ads, DAY, too_high))) == ["probabilities_valid"]
    negative = where(every(9), "bid", -1.5)(clean)
    assert list(failed(judge_candidate_log(ads, DAY, negative))) == ["contract"]


def test_an_unknown_stage_is_counted_and_the_known_ones_listed(ads: Cascade) -> None:
    log = where(every(50), "deepest_stage", "basement")(make_logs(ads, DAY).candidate_log)
    result = failed(judge_candidate_log(ads, DAY, log))["contract"]
    assert result.seen["deepest_stage: one of retrieval, pre_ranking, ranking"] == 10


def test_repeated_keys_are_counted_sorted_or_not(shop: Cascade) -> None:
    clean = make_logs(shop, DAY).candidate_log
    repeated = pl.concat([clean, clean.filter(every(100))])
    for log in (repeated, repeated.sort("request_id", "candidate_id")):
        results = failed(judge_candidate_log(shop, DAY, log))
        assert list(results) == ["keys_unique"]
        first = clean.filter(every(100)).select("request_id", "candidate_id").row(0)
        for part in ("5 of 485 rows", str(first)):
            assert part in results["keys_unique"].message


def test_request_side_features_that_vary_are_found_also_where_some_rows_may_be_null(shop: Cascade) -> None:
    clean = make_logs(shop, DAY, requests=20, candidates=10).candidate_log
    first_of_request = pl.int_range(pl.len()).over("request_id") == 0
    varied = where(first_of_request, "filter", "other")(where(first_of_request, "income", 99.0)(clean))
    known = clean.filter(pl.col("income").is_not_null()).group_by("request_id").len().filter(pl.col("len") > 1).height
    assert known > 0
    assert clean["income"].null_count() > 0
    result = failed(judge_candidate_log(shop, DAY, varied))["contract"]
    assert result.seen == {
        "rows": 200,
        "filter: one value per request": 20,
        "income: one value per request": known,
    }
    assert "declare the feature with `side: candidate`" in result.message


def test_requests_outside_the_day_are_found(ads: Cascade) -> None:
    log = make_logs(ads, DAY, requests=10).candidate_log
    one = pl.col("request_id") == log["request_id"][0]
    for shift in (timedelta(days=1), -timedelta(days=1)):
        moved = log.with_columns(pl.when(one).then(pl.col("requested_at") + shift).otherwise("requested_at"))
        result = failed(judge_candidate_log(ads, DAY, moved))
        assert result["contract"].seen["requested_at: inside the UTC day 2026-01-03"] == 12
    assert list(failed(judge_candidate_log(ads, DAY + timedelta(days=1), log))) == ["contract"]


def test_midnight_belongs_to_the_day_that_begins(ads: Cascade) -> None:
    log = make_logs(ads, DAY).candidate_log
    midnight = pl.datetime(2026, 1, 3, time_zone="UTC", time_unit="us").alias("requested_at")
    assert not failed(judge_candidate_log(ads, DAY, log.with_columns(midnight)))
    assert failed(judge_candidate_log(ads, DAY - timedelta(days=1), log.with_columns(midnight)))


def test_an_empty_day_fails_the_contract(ads: Cascade) -> None:
    result = failed(judge_candidate_log(ads, DAY, make_logs(ads, DAY).candidate_log.clear()))["contract"]
    assert "0 rows, expected at least one" in result.message


def test_missing_undeclared_and_mistyped_columns_are_all_named(ads: Cascade) -> None:
    log = make_logs(ads, DAY).candidate_log
    wrong = log.drop("bid").with_columns(pl.col("ad").cast(pl.Int32), pl.lit(1).alias("stranger"))
    results = failed(judge_candidate_log(ads, DAY, wrong))
    assert list(results) == CANDIDATE_GATES
    for part in ("`bid` (Float32) is missing", "`ad` is Int32, expected Int64", "`stranger` is not declared"):
        assert part in results["contract"].message
    assert "not judged" in results["keys_unique"].message


def test_lost_predictions_of_the_last_logging_stage_are_told_as_a_share_of_requests(ads: Cascade) -> None:
    log = make_logs(ads, DAY, requests=10).candidate_log
    lost = pl.col("request_id").is_in(log["request_id"].unique(maintain_order=True)[:3].to_list())
    for column in ("ranking_click_prediction", "ranking_conversion_prediction"):
        log = where(lost, column, None)(log)
    result = failed(judge_candidate_log(ads, DAY, log))["late_stage_present"]
    assert result.seen["share"] == pytest.approx(0.7)
    assert "7 of 10 requests (70.0%) have a prediction of stage ranking, expected at least 90.0%" in result.message


def test_the_last_stage_that_logs_predictions_need_not_be_the_last_stage(shop: Cascade) -> None:
    results = judge_candidate_log(shop, DAY, make_logs(shop, DAY).candidate_log)
    result = next(each for each in results if each.name == "late_stage_present")
    assert result.passed
    assert "stage sort" in result.message


def test_the_rarest_probe_is_one_of_a_million(ads: Cascade) -> None:
    log, probed = make_logs(ads, DAY).candidate_log, pl.col("probed")
    assert not failed(judge_candidate_log(ads, DAY, where(probed, "probe_rate", 1e-6)(log)))
    told = failed(judge_candidate_log(ads, DAY, where(probed, "probe_rate", 1e-10)(log)))["contract"]
    assert told.seen["probe_rate: null exactly where not probed, else in [1e-06, 1]"] == log["probed"].sum()


def test_rates_that_probes_were_not_drawn_with_are_told(ads: Cascade) -> None:
    log = make_logs(ads, DAY).candidate_log
    results = judge_candidate_log(ads, DAY, where(pl.col("probed"), "probe_rate", 1.0)(log))
    assert not failed(results)
    assert [result.name for result in results if not result.passed] == ["probe_rates_true"]


def test_events_without_a_shown_candidate_are_counted(ads: Cascade) -> None:
    candidate_log, event_log = make_logs(ads, DAY)
    unshown = candidate_log.filter(~pl.col("shown")).head(2).select("request_id", "candidate_id")
    unknown = event_log.head(3).select("request_id", candidate_id=pl.lit(999_999, pl.Int64))
    stray = pl.concat([unshown, unknown]).join(event_log.head(1).select("event", "occurred_at", "value"), how="cross")
    late = stray.with_columns(pl.col("occurred_at") + timedelta(days=2))
    results = failed(judge_event_log(ads, DAY, pl.concat([event_log, late]), candidate_log))
    assert list(results) == ["events_have_candidates"]
    message = results["events_have_candidates"].message
    assert f"5 of {event_log.height + 5} rows" in message
    assert str((*unshown.row(0), "impression")) in message


@pytest.mark.parametrize(
    ("column", "value"),
    [("event", "teleport"), ("event", None), ("value", float("nan")), ("occurred_at", None), ("candidate_id", None)],
)
def test_a_planted_fault_of_events_is_found_with_its_count(ads: Cascade, column: str, value: object) -> None:
    candidate_log, event_log = make_logs(ads, DAY)
    planted = event_log.filter(every(11)).height
    result = failed(judge_event_log(ads, DAY, where(every(11), column, value)(event_log), candidate_log))["contract"]
    assert f"`{column}`: {planted} of {event_log.height} rows" in result.message


def test_an_event_before_its_request_is_found(ads: Cascade) -> None:
    candidate_log, event_log = make_logs(ads, DAY)
    hour_before = pl.col("occurred_at") - timedelta(hours=1)
    early = event_log.with_columns(pl.when(every(11)).then(hour_before).otherwise("occurred_at"))
    result = failed(judge_event_log(ads, DAY, early, candidate_log))
    assert list(result) == ["contract"]
    assert f"`occurred_at`: {event_log.filter(every(11)).height} of" in result["contract"].message


def test_a_day_without_events_passes_and_a_candidate_log_that_breaks_the_contract_is_not_joined(ads: Cascade) -> None:
    candidate_log, event_log = make_logs(ads, DAY)
    assert not failed(judge_event_log(ads, DAY, event_log.clear(), candidate_log))
    results = failed(judge_event_log(ads, DAY, event_log, candidate_log.drop("shown")))
    assert "candidate_log: column `shown` (Boolean) is missing" in results["contract"].message
    assert "column `shown`" in results["contract"].seen["problem"]


def test_an_event_log_of_other_columns_is_refused_by_their_names(ads: Cascade) -> None:
    candidate_log, event_log = make_logs(ads, DAY)
    results = failed(judge_event_log(ads, DAY, event_log.drop("value"), candidate_log))
    assert "column `value` (Float32) is missing" in results["contract"].message
    assert list(results) == ["contract", "events_have_candidates"]


def test_no_more_than_the_first_three_rows_are_shown(ads: Cascade) -> None:
    log = make_logs(ads, DAY).candidate_log
    message = failed(judge_candidate_log(ads, DAY, log.with_columns(bid=pl.lit(-1.0, pl.Float32))))["contract"].message
    shown = [str(row) for row in log.select("request_id", "candidate_id").head(4).rows()]
    assert f"e.g. (request_id, candidate_id) = {', '.join(shown[:3])};" in message


@pytest.mark.parametrize("column", ["candidate_id", "requested_at", "bid", "shown", "ad"])
def test_nobody_is_told_to_leave_rows_of_what_was_considered_out(ads: Cascade, column: str) -> None:
    log = where(every(7), column, None)(make_logs(ads, DAY).candidate_log)
    told = judge_candidate_log(ads, DAY, log)[0].message
    assert "fill it in where the log is written" in told
    assert "leave the row out" not in told
