"""Which rows of the logs a diagnosis compares: those of the model stage_calibration, from files and from the lake."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.fixtures.logs import make_logs
from tests.fixtures.published_logs import publish_logs
from tests.fixtures.shop import write
from tests.fixtures.sql_tables import ADS, DAY, KEYS, SHOP, run, written
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, EXPLORED, IMP, SCORED
from ukdsl_assets.declaration.sources import ParquetSource
from ukdsl_assets.errors import ContractError, SourceError
from ukdsl_assets.logs.contract import DayOfLogs
from ukdsl_assets.pipeline.diagnosis import Comparison, Diagnosis, diagnosed
from ukdsl_assets.pipeline.logged_rows import logged_day
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

LATER = datetime(2026, 6, 1, tzinfo=UTC)


def of_files(cascade: Cascade, folder: Path, logs: DayOfLogs, **changes: object) -> Cascade:
    write(folder, DAY, logs)
    return cascade.model_copy(update={"source": ParquetSource(kind="parquet", path=str(folder)), **changes})


def settings_in(folder: Path, **more: object) -> Settings:
    return Settings(lake=str(folder / "lake"), **more)  # type: ignore[arg-type]


def found(diagnosis: Diagnosis, *who: str) -> Comparison:
    (only,) = [each for each in diagnosis.comparisons if (each.stage, each.task, each.domain, each.reference) == who]
    return only


@pytest.mark.parametrize("cascade", [ADS, SHOP], ids=["ads", "shop"])
def test_figures_are_those_of_stage_calibration(tmp_path: Path, cascade: Cascade) -> None:
    logs = make_logs(cascade, DAY, 200)
    files = written(tmp_path, logs._asdict())
    run(tmp_path, "impressions", files, cascade)
    table = run(tmp_path, "stage_calibration", files, cascade).filter(pl.col("reference") != "truth")
    done = diagnosed(settings_in(tmp_path), of_files(cascade, tmp_path / "logs", logs), [DAY])
    judged = 0
    for row in table.iter_rows(named=True):
        each = found(done, *(row[name] for name in ("stage", "task", "domain", "reference")))
        assert each.rows == row["rows"]
        if not each.not_judged:
            judged += 1
            assert each.mean_prediction == pytest.approx(row["mean_prediction"], rel=1e-6)
            assert each.calibration == pytest.approx(row["calibration"], rel=1e-6)
            if each.gain is not None:
                assert each.gain.ne == pytest.approx(row["normalized_entropy"], rel=1e-5)
    assert judged >= len(table) - 2


@pytest.mark.parametrize("cascade", [ADS, SHOP], ids=["ads", "shop"])
def test_labels_are_those_of_impressions(tmp_path: Path, cascade: Cascade) -> None:
    logs = make_logs(cascade, DAY, 60)
    impressions = run(tmp_path, "impressions", written(tmp_path, logs._asdict()), cascade)
    read = logged_day(settings_in(tmp_path), of_files(cascade, tmp_path / "logs", logs), DAY, print)
    tasks = [task.name for task in cascade.tasks]
    assert_frame_equal(read.rows.filter("shown").select(*KEYS, *tasks).sort(KEYS), impressions.select(*KEYS, *tasks))
    assert read.rows.filter(~pl.col("shown")).select(pl.all_horizontal(pl.col(tasks).is_null().all())).item()
    assert read.candidates == logs.candidate_log.height


def test_the_lake_is_read_where_it_has_the_day_and_says_the_same(tmp_path: Path) -> None:
    logs = make_logs(ADS, DAY, 60)
    cascade = of_files(ADS, tmp_path / "logs", logs)
    settings = settings_in(tmp_path, as_of=LATER)
    of_files_told = diagnosed(settings, cascade, [DAY])
    publish_logs(Workspace.open(settings), cascade, logs, LATER, DAY)
    of_lake = diagnosed(settings, cascade, [DAY])
    assert (of_files_told.read_from, of_lake.read_from) == (("source",), ("lake",))
    assert [each.rows for each in of_files_told.comparisons] == [each.rows for each in of_lake.comparisons]
    figures = [each.calibration for each in of_files_told.comparisons]
    assert figures == pytest.approx([each.calibration for each in of_lake.comparisons], nan_ok=True)
    assert len(of_files_told.groups) == len(of_lake.groups) > 0


def test_days_are_pooled_and_a_missing_one_names_those_there_are(tmp_path: Path) -> None:
    cascade = of_files(ADS, tmp_path / "logs", make_logs(ADS, DAY, 40))
    write(tmp_path / "logs", DAY + timedelta(days=1), make_logs(ADS, DAY + timedelta(days=1), 40))
    settings = settings_in(tmp_path)
    both = diagnosed(settings, cascade, [DAY, DAY + timedelta(days=1)])
    each = [diagnosed(settings, cascade, [day]) for day in both.days]
    assert both.requests == sum(one.requests for one in each) == 80
    assert both.scored["retrieval"] == sum(one.candidates for one in each)
    view = ("retrieval", "click", CD, "teacher")
    assert found(both, *view).rows == sum(found(one, *view).rows for one in each)
    with pytest.raises(SourceError, match=rf"days there: {DAY}, {DAY + timedelta(days=1)}"):
        diagnosed(settings, cascade, [DAY, DAY + timedelta(days=2)])


def test_explored_rows_weigh_one_over_their_propensity(tmp_path: Path) -> None:
    logs = make_logs(ADS, DAY, 1_000)
    log = logs.candidate_log.with_columns(explored="shown", propensity=pl.when("shown").then(pl.lit(0.25, pl.Float32)))
    cascade = of_files(ADS, tmp_path / "logs", logs._replace(candidate_log=log))
    done = diagnosed(settings_in(tmp_path), cascade, [DAY])
    explored, shown = (found(done, "ranking", "click", domain, "label") for domain in (EXPLORED, IMP))
    assert explored.calibration == pytest.approx(shown.calibration)
    rare = log.with_columns(
        pl.when(pl.col("candidate_id") == 0).then(pl.lit(0.01, pl.Float32)).otherwise("propensity").alias("propensity")
    )
    rare = rare.with_columns(pl.when("shown").then("propensity").alias("propensity"))
    done = diagnosed(settings_in(tmp_path), of_files(ADS, tmp_path / "rare", logs._replace(candidate_log=rare)), [DAY])
    weighted = found(done, "ranking", "click", EXPLORED, "label")
    first = rare.filter("shown").select(p="ranking_click_prediction", w=1 / pl.col("propensity"))
    expected = first.select((pl.col("p") * pl.col("w")).sum() / pl.col("w").sum()).item()
    assert weighted.mean_prediction == pytest.approx(expected, rel=1e-5)
    assert weighted.requests <= 1_000


def test_what_cannot_be_judged_says_what_to_log(tmp_path: Path) -> None:
    logs = make_logs(SHOP, DAY, 40)
    log = logs.candidate_log.with_columns(explored=False, propensity=pl.lit(None, pl.Float32))
    done = diagnosed(settings_in(tmp_path), of_files(SHOP, tmp_path / "logs", logs._replace(candidate_log=log)), [DAY])
    assert "has_probes: true" in found(done, "sort", "click", SCORED, "teacher").not_judged
    assert "log `explored` and `propensity`" in found(done, "final", "click", EXPLORED, "label").not_judged
    # Of the last stage, and of tasks that no later stage predicts, events alone judge.
    assert {each.reference for each in done.comparisons if each.stage == "final"} == {"label"}
    assert {each.reference for each in done.comparisons if each.task == "order"} == {"label"}
    assert not [each for each in done.comparisons if each.stage == "recall"]


def test_probes_that_nobody_scored_are_asked_for(tmp_path: Path) -> None:
    logs = make_logs(ADS, DAY, 40)
    none = logs.candidate_log.with_columns(
        probed=False,
        probe_rate=pl.lit(None, pl.Float32),
        pre_ranking_click_prediction=pl.when(pl.col("deepest_stage") != "retrieval").then(
            "pre_ranking_click_prediction"
        ),
    )
    done = diagnosed(settings_in(tmp_path), of_files(ADS, tmp_path / "logs", logs._replace(candidate_log=none)), [DAY])
    assert (
        "no row that retrieval rejected is a probe" in found(done, "retrieval", "click", SCORED, "teacher").not_judged
    )


def test_labels_that_are_still_to_come_are_not_judged(tmp_path: Path) -> None:
    cascade = of_files(ADS, tmp_path / "logs", make_logs(ADS, DAY, 200))
    early = datetime.combine(DAY + timedelta(days=2), datetime.min.time(), tzinfo=UTC)
    told = found(diagnosed(settings_in(tmp_path, as_of=early), cascade, [DAY]), "ranking", "conversion", IMP, "label")
    assert "events count for 7 day(s)" in told.not_judged
    told = found(diagnosed(settings_in(tmp_path, as_of=LATER), cascade, [DAY]), "ranking", "conversion", IMP, "label")
    assert told.not_judged == ""
    assert told.given == ("click",)


def test_one_stage_is_judged_by_events_alone(tmp_path: Path) -> None:
    cascade = ADS.model_copy(update={"stages": ADS.stages[2:], "has_probes": False, "features": ADS.features[:4]})
    logs = make_logs(cascade, DAY, 200)
    done = diagnosed(settings_in(tmp_path), of_files(cascade, tmp_path / "logs", logs), [DAY])
    assert {each.reference for each in done.comparisons} == {"label"}
    assert found(done, "ranking", "click", IMP, "label").rows == logs.candidate_log["shown"].sum()


def test_rows_without_a_prediction_are_left_out_and_counted(tmp_path: Path) -> None:
    logs = make_logs(SHOP, DAY, 60)
    number = pl.int_range(pl.len())
    log = logs.candidate_log.with_columns(sort_click_prediction=pl.when(number % 5 > 0).then("sort_click_prediction"))
    done = diagnosed(settings_in(tmp_path), of_files(SHOP, tmp_path / "logs", logs._replace(candidate_log=log)), [DAY])
    each = found(done, "sort", "click", IMP, "label")
    assert each.rows + each.without_prediction == log["shown"].sum()
    assert each.without_prediction == log.filter("shown")["sort_click_prediction"].null_count() > 0


@pytest.mark.parametrize(
    ("column", "wrong", "words"),
    [
        ("sort_click_prediction", pl.lit(1.5, pl.Float32), r"`sort_click_prediction`: \d+ of \d+"),
        ("sort_click_prediction", pl.lit(math.nan, pl.Float32), "finite, in"),
        ("deepest_stage", pl.lit("oracle"), "one of recall, sort, final"),
        ("propensity", pl.lit(0.0, pl.Float32), "not null where explored"),
    ],
)
def test_values_that_would_spoil_the_figures_are_refused(
    tmp_path: Path, column: str, wrong: pl.Expr, words: str
) -> None:
    logs = make_logs(SHOP, DAY, 10)
    log = logs.candidate_log.with_columns(wrong.alias(column))
    cascade = of_files(SHOP, tmp_path / "logs", logs._replace(candidate_log=log))
    with pytest.raises(ContractError, match=words) as told:
        diagnosed(settings_in(tmp_path), cascade, [DAY])
    assert f"ukdsl check-logs shop --day {DAY}" in str(told.value)


def test_a_shown_row_that_comes_twice_is_refused(tmp_path: Path) -> None:
    logs = make_logs(SHOP, DAY, 10)
    twice = pl.concat([logs.candidate_log, logs.candidate_log.filter("shown").head(2)])
    cascade = of_files(SHOP, tmp_path / "logs", logs._replace(candidate_log=twice))
    with pytest.raises(ContractError, match="2 shown row"):
        diagnosed(settings_in(tmp_path), cascade, [DAY])


def test_segments_are_groups_and_none_is_one(tmp_path: Path) -> None:
    logs = make_logs(SHOP, DAY, 100)
    log = logs.candidate_log.with_columns(select=pl.when(pl.col("select") != "3").then("select"))
    cascade = of_files(SHOP, tmp_path / "logs", logs._replace(candidate_log=log), segments=("select",))
    done = diagnosed(settings_in(tmp_path), cascade, [DAY])
    groups = [each for each in done.groups if each.by == "select" and each.domain == CD]
    assert "(none)" in {each.group for each in groups}
    assert sum(each.rows for each in groups) == found(done, "sort", "click", CD, "teacher").rows
    assert {len([g for g in done.groups if g.by == "decile" and g.domain == CD])} == {10}
