"""A small surface taught by a large one: two cascades of one lake, through the real graph."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import dagster as dg
import polars as pl
import pytest

from tests.fixtures.graph import checks, failures, run_day_of, shipped, small
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.teachers import FoundationTeacher
from ukdsl_assets.defs.build import build_defs
from ukdsl_assets.defs.graph.keys import asset_key
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.learning.evaluation.gates import judge_student

pytestmark = pytest.mark.slow
FIRST = date(2026, 1, 1)
SECOND = FIRST + timedelta(days=1)
FOUNDATION = FoundationTeacher(name="foundation", kind="foundation", stage="ranking", window_days=2)
LARGE = shipped("simulated_ads", teachers=(FOUNDATION,), students=())
KEYS: dict[str, Any] = {
    "model": "foundation",
    "tasks": {"click": "click", "conversion": "conversion"},
    "defaults": {"age_group": None, "device": None, "format": None, "user_profile_detail": (0.0, 0.0, 0.0, 0.0)},
}
LABELS = "ads_click", "teacher_labels"


def small_surface() -> Cascade:
    """Clicks are far more frequent than on the large surface, so that its teacher explains them worse than a constant.

    One teacher may teach all the same, the other is refused.
    """
    cascade = shipped("simulated_small_surface")
    surface = cascade.source.surface.model_copy(update={"traffic": 0.4, "click_shift": 2.5})  # type: ignore[union-attr]
    allowed = cascade.teachers[0].model_copy(update={**KEYS, "allow_worse_than_constant": True})
    refused = allowed.model_copy(update={"name": "refused", "allow_worse_than_constant": False})
    source = cascade.source.model_copy(update={"surface": surface})
    tasks = {"auxiliary_tasks": ("click", "conversion"), "label_tasks": ("conversion",)}
    heads = ("impression", "auxiliary", "representation")
    student = cascade.students[0].model_copy(update={"heads": heads, **tasks})
    return cascade.model_copy(update={"source": source, "teachers": (allowed, refused), "students": (student,)})


SMALL = small_surface()


@dataclass(frozen=True)
class Pair:
    """The target's first day before the source had run, both its days after; labels of the first day, made twice."""

    lake: Lake
    store: CheckpointStore
    defs: dg.Definitions
    before: dg.ExecuteInProcessResult
    days: list[dg.ExecuteInProcessResult]
    labels: list[str]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    settings = small(tmp_path_factory.mktemp("pair"), shards=2)
    defs = build_defs(settings, {LARGE.name: LARGE, SMALL.name: SMALL})
    lake = Lake(settings.tables)

    with dg.DagsterInstance.ephemeral() as instance, pytest.MonkeyPatch.context() as patch:
        # Nothing here hangs on how well the simulated production models rank.
        patch.setattr("ukdsl_assets.simulation.scales.WARM_UP_DAYS", 1)

        def run(cascade: Cascade, day: date, report: bool = False) -> dg.ExecuteInProcessResult:
            return run_day_of(defs, instance, cascade, day, report)

        def version() -> str:
            found = lake.partition((SMALL.name, *LABELS), FIRST)
            assert found is not None
            return found.data_version

        before = run(SMALL, FIRST)
        assert run(LARGE, FIRST).success
        days = [run(SMALL, FIRST), run(SMALL, SECOND, report=True)]
        labels = [version()]
        assert run(LARGE, SECOND).success
        run(SMALL, FIRST)
        labels.append(version())
        yield Pair(lake, CheckpointStore(settings.checkpoints), defs, before, days, labels)


def test_a_day_is_judged_by_withheld_requests_of_the_days_before_too(pair: Pair) -> None:
    assert SMALL.evaluation_days == 14
    rows = pair.lake.scan((SMALL.name, "click", "teacher_augmented"), [FIRST, SECOND]).filter("withheld").collect()
    for day in (FIRST, SECOND):
        judged = pair.lake.scan((SMALL.name, "click", "evaluation"), [day]).collect()
        for domain, reference in (("IMP", "label"), ("CD", "teacher"), ("IMP", "truth")):
            seen = judged.filter(arm="baseline", domain=domain, reference=reference)["rows"].to_list()
            assert seen == [rows.filter(pl.col("day") <= day, domain=domain).height]
    commit = pair.lake.history((SMALL.name, "click", "evaluation"), SECOND)[0]
    assert f"input:{SMALL.name}/click/teacher_augmented/{FIRST}" in commit.metadata


def test_without_a_checkpoint_of_the_other_cascade_the_command_that_makes_one_is_told(pair: Pair) -> None:
    said = failures(pair.before)[f"{SMALL.name}__ads_click__teacher_labels"]
    assert "simulated_ads/foundation: nothing is published for 2026-01-01" in said
    assert "ukdsl run simulated_ads --days 2026-01-01" in said


def test_labels_hang_on_the_other_cascades_checkpoint_of_the_same_day(pair: Pair) -> None:
    graph = pair.defs.resolve_asset_graph()
    parents = graph.get(asset_key((SMALL.name, *LABELS))).parent_keys
    assert asset_key((LARGE.name, "foundation", "teacher_checkpoint")) in parents


def test_figures_are_published_and_the_gates_decide_on_the_labels(pair: Pair) -> None:
    for done, day in zip(pair.days, (FIRST, SECOND), strict=True):
        seen = checks(done)
        for name in ("ads_click", "refused"):
            assert not seen[f"{SMALL.name}/{name}_labels", "click_better_than_a_constant"]
            table = pair.lake.scan((SMALL.name, name, "teacher_evaluation"), [day]).collect()
            figures = table.row(0, named=True)
            assert figures["ne"] - 2 * figures["ne_error"] > 1
            assert figures["calibration"] < 0.5
            assert figures["source"] == "simulated_ads/foundation"
        assert list(failures(done)) == [f"{SMALL.name}__refused__teacher_labels"]
        assert pair.lake.partition((SMALL.name, "refused", "teacher_labels"), day) is None
        assert pair.lake.scan((SMALL.name, *LABELS), [day]).collect()["click_prediction"].is_between(0, 1).all()


def test_who_learns_fresh_labels_of_a_delayed_task_says_so(pair: Pair) -> None:
    expected = "conversion: as seen, not corrected: labels that are yet to come count as 0"
    assert pair.store.facts((LARGE.name, "foundation"), FIRST)["labels"].startswith(expected)
    for arm in ("baseline", "distilled"):
        assert pair.store.facts((SMALL.name, "click", arm), FIRST)["labels"].startswith(expected)
    described = pair.defs.resolve_asset_graph().get(asset_key((LARGE.name, "foundation", "teacher_checkpoint")))
    assert f"Labels of {expected}" in (described.description or "")


def test_the_newest_checkpoint_up_to_the_day_teaches_and_no_later_one(pair: Pair) -> None:
    assert pair.store.days((LARGE.name, "foundation")) == [FIRST, SECOND]
    version = pair.store.load((LARGE.name, "foundation"), FIRST).version
    for day in (FIRST, SECOND):
        table = pair.lake.scan((SMALL.name, "ads_click", "teacher_evaluation"), [day]).collect()
        # The second day's was made before the large surface had run it; the first day's again, after it had.
        assert table.select("source_day", "source_checkpoint").row(0) == (str(FIRST), version)
        commit = pair.lake.history((SMALL.name, *LABELS), day)[0]
        assert commit.metadata["input:simulated_ads/foundation"] == f"{FIRST}/{version}"
    assert pair.labels[0] == pair.labels[1]


def test_students_learn_from_the_foreign_labels(pair: Pair) -> None:
    rows = pair.lake.scan((SMALL.name, "click", "teacher_augmented"), [FIRST]).collect()
    labels = pair.lake.scan((SMALL.name, *LABELS), [FIRST]).collect()
    taught = rows.filter(domain="CD").join(labels, on=["request_id", "candidate_id"])
    assert len(taught) == rows.filter(domain="CD").height > 0
    assert taught["target"].equals(taught["click_prediction"], check_names=False)
    assert set(taught["teacher_version"]) == {pair.labels[0]}
    assert taught["conversion_prediction"].equals(taught["conversion_prediction_right"], check_names=False)
    widths = taught["representation"].list.len().unique().to_list()
    assert widths == [FOUNDATION.architecture.tower[-1]]
    assert rows.filter(domain="IMP")["representation"].null_count() == rows.filter(domain="IMP").height
    assert pair.store.days((SMALL.name, "click", "distilled")) == [FIRST, SECOND]


def test_what_is_served_is_the_main_task_alone_and_needs_not_agree_with_the_teacher(pair: Pair) -> None:
    for done in pair.days:
        seen = checks(done)
        assert seen[f"{SMALL.name}/click_distilled", "serves_the_main_task_alone"]
    assert pair.store.load((SMALL.name, "click", "distilled"), SECOND).metadata["heads"] == ["impression"]
    judged = pair.lake.scan((SMALL.name, "click", "evaluation"), [SECOND]).collect()
    told = {each.name: each for each in judge_student(SMALL, SMALL.students[0], judged)}
    for name in ("calibrated_on_consideration", "normalized_entropy_on_consideration_kept"):
        assert told[name].severity == "WARN"
