"""The table off_policy and its gates: what stands in a row, and how days add up to a verdict."""

import math
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.fixtures.estimates import DAY, SLOTTED, pages, table_of
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.off_policy import OffPolicy
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.declaration.release import Release
from ukdsl_assets.off_policy.explored import Explored
from ukdsl_assets.off_policy.gates import RULES, judge_off_policy
from ukdsl_assets.off_policy.means import mean_of
from ukdsl_assets.off_policy.table import (
    COLUMNS,
    MEANINGS,
    OWN,
    SAME,
    Outcome,
    estimated,
    of_task,
    pooled_over_days,
)

CASCADE = read_cascade(SHIPPED / "simulated_item_page.yaml")
STUDENT = CASCADE.student("module_click")


def cascade_with(**changes: Any) -> Cascade:
    return CASCADE.model_copy(update={"off_policy": SLOTTED.model_copy(update=changes)})


def test_every_column_has_a_meaning_and_every_row_its_interval() -> None:
    assert set(COLUMNS) == set(MEANINGS)
    table = table_of(1)
    usable = table.filter(weights="slots")
    assert (usable["value_low"] < usable["value"]).all()
    assert (usable["value"] < usable["value_high"]).all()
    assert set(table["production_of"]) == {SAME}
    assert (table["closed"] == 0.5).all()


def test_a_paired_difference_is_that_of_both_values() -> None:
    for paired, of in ((True, SAME), (False, OWN)):
        row = table_of(1, paired=paired).filter(estimator="snips").row(0, named=True)
        assert row["difference"] == pytest.approx(row["value"] - row["production"])
        assert row["production_of"] == of
    assert (row["production_requests"], row["own_requests"], row["own"]) == (1000, 1000, pytest.approx(0.4))
    assert row["difference_error"] == pytest.approx(math.hypot(row["value_error"], row["production_error"]))


def test_days_count_by_their_requests() -> None:
    many, few = table_of(2).filter(day=DAY), table_of(2, requests=40).filter(pl.col("day") > DAY)
    both = of_task(pooled_over_days(pl.concat([many, few]), "same_day"), "click", "ips")
    (first, second) = (each.filter(estimator="ips").row(0, named=True) for each in (many, few))
    assert both is not None
    assert (both.days, both.requests) == (2, 440)
    assert both.value.value == pytest.approx((400 * first["value"] + 40 * second["value"]) / 440)
    assert both.value.error == pytest.approx(math.hypot(400 * first["value_error"], 40 * second["value_error"]) / 440)
    only = of_task(pooled_over_days(pl.concat([many, few]), "same_day", DAY), "click", "ips")
    assert only is not None
    assert only.requests == 400


def test_without_a_matched_reward_there_is_no_interval() -> None:
    explored, reward, student, production = pages(50)
    outcomes = {"click": Outcome(reward * 0, None, mean_of(np.ones(3)), 1.0)}
    row = estimated(SLOTTED, explored, student, production, outcomes).filter(estimator="ips").row(0, named=True)
    assert (row["value"], row["rewarded"]) == (0.0, 0)
    assert math.isnan(row["value_low"])
    assert math.isnan(row["difference_high"])


def test_a_bound_on_weights_says_what_it_takes() -> None:
    explored, reward, student, production = pages(200)
    outcomes = {"click": Outcome(reward, None, mean_of(np.ones(3)), 1.0)}
    free, bound = (
        estimated(OffPolicy(slot="slot", clip=clip), explored, student, production, outcomes) for clip in (None, 2.0)
    )
    one, other = (table.filter(estimator="ips").row(0, named=True) for table in (free, bound))
    assert other["value"] == pytest.approx(one["value"] / 2)  # All weights are 0 or 4.
    assert other["lost_by_clipping"] == pytest.approx(one["value"] - other["value"])
    assert one["lost_by_clipping"] == 0.0
    assert other["mean_weight"] == one["mean_weight"]
    # Weights of pages are of both signs: they are left alone.
    assert free.filter(estimator="pi").equals(bound.filter(estimator="pi"))


def test_no_explored_request_gives_no_row() -> None:
    nothing = np.empty(0, np.int64)
    empty = Explored(nothing, nothing, np.empty(0), by_slot=True)
    outcomes = {"click": Outcome(np.empty(0), None, mean_of(np.ones(3)), 0.0)}
    table = estimated(SLOTTED, empty, nothing, None, outcomes)
    assert table.is_empty()
    assert {"value", "estimator"} <= set(table.columns)


@pytest.mark.parametrize(
    ("table", "judged", "passed", "told"),
    [
        (table_of(2), True, True, "expected a lower end above 0"),
        (table_of(2, better=-0.15), True, False, "expected a lower end above 0"),
        (table_of(2, better=0.005), False, False, "the interval holds 0"),
        (table_of(1, requests=60), False, False, "effective requests of 100 needed"),
        (table_of(2, when="next_day"), False, False, "no explored requests to estimate click on (same_day, sndr)"),
    ],
    ids=["better", "worse", "the same", "few", "the other comparison"],
)
def test_a_policy_passes_where_its_whole_interval_is_above_production(
    table: pl.DataFrame, judged: bool, passed: bool, told: str
) -> None:
    weights, policy = judge_off_policy(CASCADE, STUDENT, table, DAY + timedelta(days=table["day"].n_unique() - 1))
    assert [weights.name, policy.name] == list(RULES)
    assert (policy.judged, policy.passed) == (judged, passed)
    assert told in policy.message
    assert (policy.severity, weights.severity) == ("WARN", "WARN")
    decides = STUDENT.model_copy(update={"release": Release(off_policy="above_production")})
    assert judge_off_policy(CASCADE, decides, table, DAY)[1].severity == "ERROR"


def test_a_difference_that_is_likely_says_how_many_days_would_tell() -> None:
    table = table_of(1, better=0.15)
    verdict = judge_off_policy(cascade_with(estimator="ips"), STUDENT, table, DAY)[1]
    assert not verdict.judged
    assert "days of them in place of 1 would do" in verdict.message


def test_propensities_that_are_not_true_are_told() -> None:
    good = judge_off_policy(CASCADE, STUDENT, table_of(1), DAY)[0]
    assert good.passed
    explored, reward, student, _ = pages(400)
    wrong = explored._replace(propensity=explored.propensity / 2)
    outcomes = {"click": Outcome(reward, None, mean_of(np.ones(3)), 1.0)}
    frame = estimated(SLOTTED, wrong, student, None, outcomes)
    assert set(frame["weights"]) == {"slots"}  # All orders alike is not what such propensities say.
    frame = frame.with_columns(when=pl.lit("same_day"), day=pl.lit(DAY))
    told = judge_off_policy(CASCADE, STUDENT, frame, DAY)[0]
    assert (told.passed, told.severity) == (False, "WARN")
    assert "same_day: 2.0" in told.message
    assert "expected 1" in told.message
