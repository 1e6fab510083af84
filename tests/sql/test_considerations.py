from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.fixtures.logs import make_logs
from tests.fixtures.sql_tables import ADS, DAY, KEYS, SHOP, rendered, run, values, written
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.sql.gates import judge_model


@pytest.mark.parametrize("cascade", [ADS, SHOP], ids=["ads", "shop"])
def test_weights_estimate_the_unshown_rows_of_each_stage_without_bias(tmp_path: Path, cascade: Cascade) -> None:
    log = make_logs(cascade, DAY, 400, candidates=60).candidate_log
    sampled = run(tmp_path, "considerations", written(tmp_path, {"candidate_log": log}), cascade)

    # Probes are not drawn again: each stands for itself.
    if cascade.has_probes:
        probes = log.filter("probed")
        assert 0 < probes.height == sampled.filter("probed").height
        assert sampled.filter("probed")["weight"].unique().to_list() == [1]
        log, sampled = log.filter(~pl.col("probed")), sampled.filter(~pl.col("probed"))
    unshown = log.filter(~pl.col("shown"))
    for stage in cascade.stages:
        rows = unshown.filter(deepest_stage=stage.name).height
        rate = stage.consideration_rate
        weight = sampled.filter(deepest_stage=stage.name)["weight"]
        assert weight.unique().to_list() == pytest.approx([1 / rate])
        # Five standard deviations of a binomial sample, in weighted rows; exact at rate 1.
        assert abs(float(weight.sum()) - rows) <= 5 * (rows * (1 - rate) / rate) ** 0.5 + 1e-6 * rows


@pytest.mark.parametrize("cascade", [ADS, SHOP], ids=["ads", "shop"])
def test_sampled_rows_are_unshown_rows_as_they_were_logged(tmp_path: Path, cascade: Cascade) -> None:
    log = make_logs(cascade, DAY, 40).candidate_log
    sampled = run(tmp_path, "considerations", written(tmp_path, {"candidate_log": log}), cascade).drop("weight")

    expected = log.filter(~pl.col("shown")).join(sampled, on=KEYS, how="semi").sort(KEYS)
    assert 0 < expected.height == sampled.height
    assert_frame_equal(sampled, expected.select(sampled.columns).cast(sampled.schema))


def test_everything_unshown_is_kept_at_rate_one(tmp_path: Path) -> None:
    stages = tuple(stage.model_copy(update={"consideration_rate": 1.0}) for stage in ADS.stages)
    log = make_logs(ADS, DAY, 20).candidate_log
    files = written(tmp_path, {"candidate_log": log})
    kept = run(tmp_path, "considerations", files, ADS.model_copy(update={"stages": stages}))

    assert kept.select(KEYS).equals(log.filter(~pl.col("shown")).select(KEYS))
    assert kept["weight"].unique().to_list() == [1]


def test_a_candidate_that_is_logged_twice_is_refused(tmp_path: Path) -> None:
    log = make_logs(ADS, DAY, 20).candidate_log
    twice = run(tmp_path, "considerations", written(tmp_path, {"candidate_log": pl.concat([log, log])}))

    keys, _ = judge_model(rendered("considerations"), [str(tmp_path / "considerations.output.parquet")], values())
    assert keys.blocks
    assert keys.seen == {"rows": twice.height, "repeated": twice.height // 2}


def test_whether_a_row_is_kept_does_not_depend_on_other_rows(tmp_path: Path) -> None:
    log = make_logs(ADS, DAY, 60).candidate_log
    early = pl.col("candidate_id") < log["candidate_id"].median()
    sampled = run(tmp_path, "considerations", written(tmp_path, {"candidate_log": log}))
    kept = run(tmp_path, "considerations", written(tmp_path, {"candidate_log": log.filter(early)}))

    assert 0 < kept.height < sampled.height
    assert kept.equals(sampled.filter(early))
