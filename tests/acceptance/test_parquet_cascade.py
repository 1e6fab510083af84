"""A user's own logs through the whole graph: a cascade and a student by YAML alone, and bad logs refused."""

import shutil
from datetime import timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from tests.fixtures.graph import checks, failures, run_day, versions
from tests.fixtures.logs import make_logs
from tests.fixtures.shop import DAY, DECLARATION, FAULTS, declare, write
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.learning.features.encoding import EMBEDDING
from ukdsl_assets.logs.contract import DayOfLogs
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.tables import same_reading
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

pytestmark = pytest.mark.slow
Ran = tuple[Settings, dg.ExecuteInProcessResult]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(lake=str(tmp_path / "lake"), threads=2)


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    declared = declare(tmp_path)
    write(tmp_path, DAY, make_logs(declared, DAY, requests=60))
    return declared


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The shop's day, run once; tests only read its lake."""
    folder = tmp_path_factory.mktemp("shop")
    declared = declare(folder)
    write(folder, DAY, make_logs(declared, DAY, requests=60))
    settings = Settings(lake=str(folder / "lake"), threads=2)
    return settings, run_day(settings, declared, DAY)


@pytest.fixture
def published(ran: Ran, settings: Settings, cascade: Cascade) -> Lake:
    """The lake of a day that has run, a copy of the test's own."""
    shutil.copytree(ran[0].lake, settings.lake)
    return Lake(settings.tables)


def test_a_cascade_by_yaml_alone_goes_from_logs_to_a_release_decision(ran: Ran) -> None:
    settings, done = ran
    assert failures(done) == {}
    lake = Lake(settings.tables)
    evaluation = lake.scan(("shop", "pre_ranking_click", "evaluation"), [DAY]).collect()
    assert set(evaluation["arm"]) == {"baseline", "distilled"}
    history = CheckpointStore(settings.checkpoints).release_history(("shop", "pre_ranking_click"))
    assert len(history) == 1
    assert history[0]["entry"]["day"] == str(DAY)


def test_a_second_student_is_a_block_of_yaml(tmp_path: Path, settings: Settings, cascade: Cascade) -> None:
    more: dict[str, object] = {"name": "one_head", "stage": "pre_ranking", "task": "click", "teacher": "ranker"}
    heads = ["impression", "consideration", "scored"]
    students = [more | {"heads": heads[:1]}, more | {"name": "three_heads", "heads": heads}]
    declared = declare(tmp_path, students=[*DECLARATION["students"], *students])
    assert failures(run_day(settings, declared, DAY, report=False)) == {}
    evaluation = Lake(settings.tables).scan(("shop", "one_head", "evaluation"), [DAY]).collect()
    assert set(evaluation["head"]) == {"impression"}
    # Without a probe, what serves is on the level of what went on to the next stage.
    evaluation = Lake(settings.tables).scan(("shop", "three_heads", "evaluation"), [DAY]).collect()
    assert set(evaluation.filter(arm="distilled")["head"]) == set(heads)
    checkpoint = CheckpointStore(settings.checkpoints).load(("shop", "three_heads", "distilled"), DAY)
    assert checkpoint.metadata["level"]["slope"] > 0
    assert checkpoint.metadata["metrics"]["rows_rejected"] == 0


def test_a_foundation_teacher_teaches_a_student_of_the_last_stage_which_serves_what_its_baseline_serves(
    tmp_path: Path, settings: Settings, cascade: Cascade
) -> None:
    teacher = {"name": "foundation", "kind": "foundation", "stage": "ranking", "architecture": "mmoe"}
    last: dict[str, object] = {"name": "ranking_click", "stage": "ranking", "task": "click", "teacher": "foundation"}
    last |= {"architecture": "mlp", "heads": ["impression", "dependent", "auxiliary"]}
    done = run_day(settings, declare(tmp_path, teachers=[teacher], students=[last]), DAY, report=False)
    assert failures(done) == {}
    assert checks(done)["shop/foundation_checkpoint", "reloads_to_the_same_predictions"]
    assert checks(done)["shop/foundation_labels", "labels_valid"]
    assert checks(done)["shop/ranking_click_distilled", "serves_the_main_task_alone"]
    store = CheckpointStore(settings.checkpoints)
    distilled, baseline = (store.load(("shop", "ranking_click", arm), DAY) for arm in ("distilled", "baseline"))
    assert distilled.metadata["heads"] == baseline.metadata["heads"] == ["impression"]
    assert distilled.metadata["metrics"]["steps"] == baseline.metadata["metrics"]["steps"]
    layers = [
        {name: value.shape for name, value in (each.tensors or {}).items() if name != EMBEDDING}
        for each in (distilled, baseline)
    ]
    assert layers[0] == layers[1]
    evaluation = Lake(settings.tables).scan(("shop", "ranking_click", "evaluation"), [DAY]).collect()
    assert set(evaluation["head"]) == {"impression"}


def test_the_same_inputs_give_the_same_rows_and_checkpoints(
    published: Lake, settings: Settings, cascade: Cascade
) -> None:
    store, key = CheckpointStore(settings.checkpoints), ("shop", "pre_ranking_click", "distilled")
    first = versions(published, cascade, DAY), store.load(key, DAY).version
    assert failures(run_day(settings, cascade, DAY, report=False)) == {}
    assert (versions(published, cascade, DAY), store.load(key, DAY).version) == first


def test_shards_change_files_not_rows(ran: Ran, settings: Settings, cascade: Cascade) -> None:
    sharded = settings.model_copy(update={"shards": 3})
    assert failures(run_day(sharded, cascade, DAY, report=False)) == {}
    for table in (("impressions",), ("considerations",), ("pre_ranking_click", "teacher_augmented")):
        one, three = (Lake(s.tables).scan(("shop", *table), [DAY]).collect() for s in (ran[0], sharded))
        keys = [name for name in ("request_id", "candidate_id", "domain") if name in one.columns]
        drop = [name for name in ("teacher_version",) if name in one.columns]
        assert one.drop(drop).sort(keys).equals(three.drop(drop).sort(keys))
    assert len(Lake(sharded.tables).live_files(("shop", "impressions"), [DAY])) == 3


def test_late_events_are_picked_up_by_a_rerun(tmp_path: Path, settings: Settings) -> None:
    cascade = declare(tmp_path, students=[])
    logs = make_logs(cascade, DAY, requests=60)
    clicks = logs.event_log.filter(event="click")
    write(
        tmp_path,
        DAY,
        DayOfLogs(logs.candidate_log, logs.event_log.filter(pl.col("event") != "click").vstack(clicks[3:])),
    )
    run_day(settings, cascade, DAY, report=False)
    before = Lake(settings.tables).scan(("shop", "impressions"), [DAY]).collect()["click"].sum()
    write(tmp_path, DAY, logs)
    run_day(settings, cascade, DAY, report=False)
    assert Lake(settings.tables).scan(("shop", "impressions"), [DAY]).collect()["click"].sum() > before


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_logs_are_refused_by_name_and_what_was_published_stays(
    tmp_path: Path, published: Lake, settings: Settings, cascade: Cascade, fault: str
) -> None:
    before = versions(published, cascade, DAY)
    spoil, named = FAULTS[fault]
    write(tmp_path, DAY, spoil(make_logs(cascade, DAY, requests=60)))
    said = failures(run_day(settings, cascade, DAY, report=False))
    assert list(said) == ["shop__logs"]
    assert all(word in said["shop__logs"] for word in named), said["shop__logs"]
    assert versions(published, cascade, DAY) == before


def test_a_truncated_file_is_refused_by_name(
    tmp_path: Path, published: Lake, settings: Settings, cascade: Cascade
) -> None:
    before = versions(published, cascade, DAY)
    file = tmp_path / "candidate_log" / f"day={DAY}" / "part-0.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    assert "part-0.parquet" in failures(run_day(settings, cascade, DAY, report=False))["shop__logs"]
    assert versions(published, cascade, DAY) == before


def test_logs_of_two_readings_are_refused(published: Lake, settings: Settings, cascade: Cascade) -> None:
    # A run that was killed between the two commits leaves the old event log.
    candidates = make_logs(cascade, DAY, requests=50).candidate_log
    staged = published.stage_frame(("shop", "candidate_log"), DAY, candidates)
    published.commit(staged, {"reading": "another"})
    with pytest.raises(LakeError, match="different readings of the source"):
        same_reading(Day(Workspace.open(settings), cascade, DAY), [("shop", "candidate_log"), ("shop", "event_log")])


def test_a_window_without_the_day_itself_is_refused(ran: Ran, cascade: Cascade) -> None:
    with pytest.raises(LakeError, match="has no day 2026-03-02"):
        Day(Workspace.open(ran[0]), cascade, DAY + timedelta(days=1)).window(("shop", "impressions"), 3)


def test_a_miscalibrated_student_is_not_released_and_the_reason_is_kept(
    tmp_path: Path, settings: Settings, cascade: Cascade
) -> None:
    strict = declare(tmp_path, gates={**DECLARATION["gates"], "student_calibration": [5.0, 6.0]})
    done = run_day(settings, strict, DAY, report=False)
    assert failures(done) == {}
    assert not checks(done)["shop/pre_ranking_click_release", "all_gates_passed"]
    store = CheckpointStore(settings.checkpoints)
    assert store.released(("shop", "pre_ranking_click")) is None
    (decision,) = store.release_history(("shop", "pre_ranking_click"))
    assert any("expected 5.0 to 6.0" in reason for reason in decision["entry"]["reasons"])


def test_a_teacher_that_is_off_stops_the_day_before_students(tmp_path: Path, settings: Settings) -> None:
    declared = declare(tmp_path, gates={"teacher_calibration": [50.0, 60.0]})
    write(tmp_path, DAY, make_logs(declared, DAY, requests=600))
    said = failures(run_day(settings, declared, DAY, report=False))
    assert "click_calibrated_on_withheld_impressions" in said["shop__ranker__teacher_labels"]
    assert Lake(settings.tables).partition(("shop", "ranker", "teacher_labels"), DAY) is None
    assert CheckpointStore(settings.checkpoints).days(("shop", "pre_ranking_click", "distilled")) == []
