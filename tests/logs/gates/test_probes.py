"""Probes stand for what their stage rejected, and a rate that they were not drawn with is told."""

import numpy as np
import polars as pl
import pytest

from tests.fixtures.log_cascades import ADS, SHOP
from ukdsl_assets.gates import GateResult
from ukdsl_assets.logs.gates.probes import GATE, ProbeSums


def log(drawn: float, logged: float | None = None, rejected: int = 20_000, seed: int = 0) -> pl.DataFrame:
    """A log of rows that pre-ranking rejected, of which a share is probed, and of others that it handed on."""
    probed = np.random.default_rng(seed).random(rejected) < drawn
    rows = pl.DataFrame({"probed": probed}).with_columns(
        shown=pl.lit(False),
        deepest_stage=pl.lit("pre_ranking"),
        probe_rate=pl.when("probed").then(pl.lit(logged or drawn, pl.Float32)),
    )
    others = rows.head(100).with_columns(
        deepest_stage=pl.lit("ranking"), probed=pl.lit(False), probe_rate=pl.lit(None, pl.Float32)
    )
    # A row that a policy showed from an early stage was not rejected by it.
    early = others.with_columns(deepest_stage=pl.lit("pre_ranking"), shown=pl.lit(True))
    return pl.concat([rows, others, early])


def judged(*shards: pl.DataFrame) -> GateResult:
    sums = ProbeSums(ADS)
    for shard in shards:
        sums.add(sums.counted(shard))
    return sums.result("candidate_log")


@pytest.mark.parametrize("rate", [1e-3, 0.02, 0.3, 1.0])
def test_probes_drawn_by_their_rate_pass_in_any_shards(rate: float) -> None:
    frame = log(rate)
    whole, parts = judged(frame), judged(frame[::2], frame[1::2])
    assert whole.passed
    assert whole.seen["pre_ranking: rejected"] == parts.seen["pre_ranking: rejected"] == 20_000
    probes = len(frame.filter("probed"))
    assert whole.seen["pre_ranking: stood for"] == pytest.approx(probes / rate)
    assert parts.seen["pre_ranking: stood for"] == pytest.approx(probes / rate)


@pytest.mark.parametrize("rate", [-0.5, 0.0, 1.5, float("inf"), float("nan")])
def test_a_rate_that_is_no_share_is_left_to_the_gate_that_tells_of_it(rate: float) -> None:
    frame = log(0.3)
    wrong = frame.with_columns(probe_rate=pl.when("probed").then(pl.lit(rate, pl.Float32)))
    assert not judged(wrong).judged
    both = judged(frame, wrong.head(1_000))
    assert both.seen["pre_ranking: rejected"] == 21_000
    assert both.seen["pre_ranking: stood for"] == judged(frame).seen["pre_ranking: stood for"]


def test_a_few_probes_or_many_days_of_them_raise_no_false_alarm() -> None:
    # Of nine that are expected between 2 and 20 come.
    few = [judged(log(9 / 500, rejected=500, seed=seed)) for seed in range(300)]
    assert all(each.passed for each in few if each.judged)
    assert sum(each.judged for each in few) > 290


@pytest.mark.parametrize(("drawn", "logged"), [(0.02, 0.01), (0.02, 0.04), (0.02, 1.0), (0.02, 2e-6), (1.0, 0.02)])
def test_a_rate_that_probes_were_not_drawn_with_is_told_and_blocks_nothing(drawn: float, logged: float) -> None:
    result = judged(log(drawn, logged))
    assert (result.name, result.verdict) == (GATE, "warns only")
    assert "probes of stage pre_ranking stand for" in result.message
    assert "expected 20,000 +- " in result.message
    assert "log as probe_rate the share" in result.message


def test_a_day_without_probes_judges_nothing_and_a_cascade_without_them_has_none_to_judge() -> None:
    none = judged(log(1e-9, 0.5))
    assert (none.judged, none.blocks) == (False, False)
    without = ProbeSums(SHOP)
    without.add(without.counted(log(0.02).drop("probed", "probe_rate")))
    assert without.result("candidate_log").passed
