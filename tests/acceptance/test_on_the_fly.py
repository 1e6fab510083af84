"""Labels from the log and labels computed in training, by the same checkpoint of a teacher, make the same student."""

import hashlib
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from tests.fixtures.graph import checks, failures, run_day, shipped, small
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.teachers import TrainedTeacher
from ukdsl_assets.lake.checkpoints.store import WEIGHTS, Checkpoint, CheckpointStore
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.settings import Settings

pytestmark = pytest.mark.slow
DAY = date(2026, 1, 1)
Ran = tuple[Settings, dg.ExecuteInProcessResult]


def declared() -> Cascade:
    teacher = TrainedTeacher(name="foundation", kind="trained", stage="ranking", trees=20, minimum_leaf_rows=20)
    logged = shipped("simulated_ads").student("pre_ranking_click")
    logged = logged.model_copy(update={"teacher": "foundation", "requests_per_batch": 16})
    changes: list[dict[str, str]] = [
        {"name": "from_the_log"},
        {"name": "on_the_fly", "labels": "on_the_fly"},
        {"name": "corrected", "teacher": "ranking_logged", "correction": "exploration"},
    ]
    students = [logged.model_copy(update=each).model_dump(mode="json") for each in changes]
    ranker = shipped("simulated_ads").teacher("ranking_logged")
    teachers = [each.model_dump(mode="json") for each in (teacher, ranker)]
    content = shipped("simulated_ads").model_dump(mode="json")
    return Cascade.model_validate({**content, "teachers": teachers, "students": students})


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, warm_state: Path) -> Ran:
    settings = small(tmp_path_factory.mktemp("lake"), warm_state)
    return settings, run_day(settings, declared(), DAY, report=False)


def checkpoint(settings: Settings, student: str) -> Checkpoint:
    return CheckpointStore(settings.checkpoints).load(("simulated_ads", student, "distilled"), DAY)


def test_equal_labels_make_checkpoints_of_equal_bytes(ran: Ran) -> None:
    settings, done = ran
    assert not failures(done)
    digests = []
    for student in ("from_the_log", "on_the_fly"):
        folder = Path(settings.checkpoints) / "simulated_ads" / student / "distilled"
        (weights,) = folder.rglob(WEIGHTS)
        digests.append(hashlib.sha256(weights.read_bytes()).hexdigest())
    assert digests[0] == digests[1]
    teacher = CheckpointStore(settings.checkpoints).load(("simulated_ads", "foundation"), DAY)
    lineage = {student: checkpoint(settings, student).metadata["lineage"] for student in ("from_the_log", "on_the_fly")}
    assert lineage["on_the_fly"]["simulated_ads/foundation/teacher_checkpoint"] == teacher.version
    assert set(lineage["from_the_log"]) == {str(DAY)}


def test_a_corrected_student_is_taught_by_the_labels_and_the_audit(ran: Ran) -> None:
    settings, done = ran
    lake = Lake(settings.tables)
    audit = lake.scan(("simulated_ads", "ranking_logged", "teacher_audit"), [DAY]).collect()
    assert audit.select("task", "period").rows() == [
        (task, period)
        for task in ("click", "conversion")
        for period in ("day", "trailing", "judged", "corrected", "impressions")
    ]
    assert ("simulated_ads/ranking_logged_audit", "click_agrees_on_exploration") in checks(done)
    versions = [
        lake.partition(("simulated_ads", "ranking_logged", name), DAY).data_version  # type: ignore[union-attr]
        for name in ("teacher_labels", "teacher_audit")
    ]
    rows = lake.scan(("simulated_ads", "corrected", "teacher_augmented"), [DAY]).collect()
    assert rows["teacher_version"].unique().to_list() == ["+".join(versions)]
    # A small day explores too little to correct by, and both assets say so.
    (reason,) = audit.filter(task="click", period="trailing")["not_corrected"]
    assert "effective explored requests of 100 needed" in reason
    for asset, key, told in (
        ("corrected__teacher_augmented", "correction", "ranking_logged, click: "),
        ("ranking_logged__teacher_audit", "correction of click", ""),
    ):
        (event,) = done.asset_materializations_for_node(f"simulated_ads__{asset}")
        assert event.metadata[key].value == f"{told}not corrected, because of {reason}"
