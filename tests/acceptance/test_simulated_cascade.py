"""Three small simulated days through the whole graph."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from tests.fixtures.graph import checks, failures, metadata, run_day, shipped, small, versions
from ukdsl_assets.cli.show import show_run
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import truth_column
from ukdsl_assets.declaration.selection import Selection
from ukdsl_assets.declaration.teachers import TrainedTeacher
from ukdsl_assets.defs.web import read_picture
from ukdsl_assets.frames.splits import halves, withheld
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.learning.evaluation.scored_gates import RULES as SCORED_RULES
from ukdsl_assets.learning.evaluation.table import figure
from ukdsl_assets.selection.choice import chosen_of
from ukdsl_assets.settings import Settings

pytestmark = pytest.mark.slow
CASCADE = shipped("simulated_ads")
WHEN = ("same_day", "next_day")
DAYS = [CASCADE.first_day + timedelta(days=count) for count in range(3)]


@dataclass(frozen=True)
class Week:
    """What the graph has made."""

    settings: Settings
    cascade: Cascade
    lake: Lake
    store: CheckpointStore
    done: list[dg.ExecuteInProcessResult]


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory, warm_state: Path) -> Week:
    settings = small(tmp_path_factory.mktemp("week"), warm_state)
    # A trained teacher beside the shipped logged ones, and a student whose features are selected.
    foundation = TrainedTeacher(name="foundation", kind="trained", stage="ranking", trees=20, window_days=3)
    selecting = CASCADE.student("pre_ranking_click").model_copy(
        update={"name": "selecting", "features": "selected", "selection": Selection(budget=5)}
    )
    students = (*CASCADE.students, selecting)
    cascade = CASCADE.model_copy(update={"teachers": (*CASCADE.teachers, foundation), "students": students})
    done = [run_day(settings, cascade, day, report=day == DAYS[-1]) for day in DAYS]
    return Week(settings, cascade, Lake(settings.tables), CheckpointStore(settings.checkpoints), done)


def test_every_day_succeeds_and_every_declared_check_is_evaluated(week: Week) -> None:
    for done in week.done:
        assert failures(done) == {}
        assert {name for _, name in checks(done)} >= {
            "contract",
            "keys_unique",
            "probabilities_valid",
            "late_stage_present",
            "probe_rates_true",
            "volume_near_trailing_median",
            "events_have_candidates",
            "column_rules",
            "click_label_rate_near_trailing_median",
            "click_calibrated_on_withheld_impressions",
            "click_calibrated_on_exploration",
            "parameters_finite",
            "reloads_to_the_same_predictions",
            "no_withheld_request_in_training",
            "calibrated_on_consideration",
            "normalized_entropy_on_impression_kept",
            "calibrated_on_own_choice",
            "calibrated_on_exploration",
            "all_gates_passed",
        }


def test_checks_are_of_the_days_partition(week: Week) -> None:
    for day, done in zip(DAYS, week.done, strict=True):
        assert {each.partition for each in done.get_asset_check_evaluations()} == {str(day)}


def test_data_gates_pass_on_sound_logs(week: Week) -> None:
    # A small day ranks features by 600 rows, so that its selection need not be stable.
    judged_later = {"calibrated_on_consideration", "all_gates_passed", "selection_stable", *SCORED_RULES} | {
        f"normalized_entropy_on_{domain}_kept" for domain in ("impression", "consideration")
    }
    judged_later |= {f"no_worse_than_champion_on_{domain}" for domain in ("impression", "scored")} | not_judged(week)
    failed = [
        key for done in week.done for key, passed in checks(done).items() if not passed and key[1] not in judged_later
    ]
    assert failed == []


def not_judged(week: Week) -> set[str]:
    """Names of gates that a small day has too little for."""
    evaluations = [each for done in week.done for each in done.get_asset_check_evaluations()]
    found = {each.check_name for each in evaluations if "verdict" in each.metadata}
    assert not any(each.passed for each in evaluations if "verdict" in each.metadata)
    return found


def test_both_comparisons_with_the_champion_are_made_of_rows_that_neither_has_seen(week: Week) -> None:
    key = (CASCADE.name, "pre_ranking_click")
    tables = [week.lake.scan((*key, "champion_comparison"), [day]).collect() for day in DAYS]
    assert [set(table["when"]) for table in tables] == [
        {"same_day"},
        {"same_day", "next_day"},
        {"same_day", "next_day"},
    ]
    rows = week.lake.scan((*key, "teacher_augmented"), DAYS[1:2]).collect()
    for domain in ("IMP", "CD"):
        of_domain = rows.filter(domain=domain)
        same, later = (tables[1].filter(domain=domain, when=when).row(0, named=True) for when in WHEN)
        assert (same["rows"], later["rows"]) == (of_domain["withheld"].sum(), len(of_domain))
        assert (same["challenger_day"], later["challenger_day"]) == (DAYS[1], DAYS[0])
        assert same["champion_arm"] in ("released", "baseline")
        assert same["champion_day"] <= DAYS[1]
        assert later["champion"] == week.store.load((*key, "baseline"), DAYS[0]).version


def test_shown_rows_stand_in_both_domains_and_considered_rows_are_what_the_teacher_scored(week: Week) -> None:
    rows = week.lake.scan((CASCADE.name, "pre_ranking_click", "teacher_augmented"), DAYS[:1]).collect()
    log = week.lake.scan((CASCADE.name, "candidate_log"), DAYS[:1]).collect()
    assert len(rows.filter(domain="IMP")) == log["shown"].sum()
    assert len(rows.filter(domain="CD")) == (log["deepest_stage"] == "ranking").sum()
    assert rows.filter(domain="IMP")["target"].unique().sort().to_list() == [0, 1]


def test_no_trainer_can_read_the_truth(week: Week) -> None:
    for student in CASCADE.students:
        columns = week.lake.scan((CASCADE.name, student.name, "teacher_augmented"), DAYS[:1]).collect_schema().names()
        assert not [name for name in columns if name.startswith("audit")]
    assert truth_column("click") in week.lake.scan((CASCADE.name, "candidate_log"), DAYS[:1]).collect_schema().names()


def test_about_the_declared_share_of_requests_is_withheld_and_none_was_trained_on(week: Week) -> None:
    rows = week.lake.scan((CASCADE.name, "retrieval_click", "teacher_augmented"), DAYS).collect()
    requests = rows.group_by("request_id").agg(pl.col("withheld").first(), pl.col("withheld").n_unique().alias("kinds"))
    assert requests["kinds"].max() == 1
    assert requests["withheld"].mean() == pytest.approx(CASCADE.withheld_share, abs=0.04)
    assert withheld(requests["request_id"], CASCADE.withheld_share).equals(requests["withheld"], check_names=False)


def test_sampled_considerations_stand_for_all(week: Week) -> None:
    rows = week.lake.scan((CASCADE.name, "considerations"), DAYS).collect()
    log = week.lake.scan((CASCADE.name, "candidate_log"), DAYS).collect()
    kept = rows.group_by("deepest_stage").agg(pl.col("weight").sum())
    for stage, weight in kept.iter_rows():
        considered = ((log["deepest_stage"] == stage) & ~log["shown"]).sum()
        assert weight == pytest.approx(considered, rel=0.05)


def test_students_warm_start_from_the_day_before(week: Week) -> None:
    for arm in ("baseline", "distilled"):
        key = (CASCADE.name, "pre_ranking_click", arm)
        first, second = (week.store.load(key, day) for day in DAYS[:2])
        assert first.metadata["warm_start"] is None
        assert second.metadata["warm_start"] == f"{DAYS[0]}/{first.version}"


def test_evaluation_has_every_arm_head_domain_and_reference(week: Week) -> None:
    table = week.lake.scan((CASCADE.name, "pre_ranking_click", "evaluation"), DAYS[-1:]).collect()
    views = {
        *(("IMP", each) for each in ("label", "truth")),
        *((domain, each) for domain in ("CD", "SCORED", "OWN") for each in ("teacher", "truth")),
        *(("EXPLORED_TRAILING", each) for each in ("label", "truth")),
    }
    found = set(table.select("domain", "reference").iter_rows())
    # A small day may withhold no request that explored.
    assert found - views in (set(), {("EXPLORED", "label"), ("EXPLORED", "truth")})
    assert found >= views
    assert len(table.filter(pl.col("arm") != "released")) == 4 * len(found)
    assert set(table["reference"]) == {"label", "teacher", "truth"}
    where = {"arm": "baseline", "head": "impression", "domain": "IMP", "reference": "label"}
    assert figure(table, "ne_change", **where) == 0
    same_rows = table.filter(pl.col("domain").is_in(["IMP", "CD", "SCORED"]))
    assert (
        same_rows.select(pl.col("calibration_error", "auc", "auc_error", "request_auc").is_finite().all()).row(0)
        == (True,) * 4
    )


def test_what_was_released_before_is_judged_on_todays_requests_and_nothing_later_is(week: Week) -> None:
    for student in CASCADE.students:
        history = week.store.release_history((CASCADE.name, student.name))
        released = {
            each["entry"]["day"]: each["entry"]["checkpoint"] for each in history if "reasons" not in each["entry"]
        }
        for day in DAYS:
            table = week.lake.scan((CASCADE.name, student.name, "evaluation"), [day]).collect()
            before = max((each for each in released if each < str(day)), default=None)
            assert set(table.filter(arm="released")["checkpoint"]) == ({released[before]} if before else set())


def test_calibration_is_reported_by_decile_and_by_the_segments_that_a_student_has(week: Week) -> None:
    for student in CASCADE.students:
        table = week.lake.scan((CASCADE.name, student.name, "calibration_by_group"), DAYS[-1:]).collect()
        assert set(table["by"]) == {"decile", "country", "device"}
        evaluation = week.lake.scan((CASCADE.name, student.name, "evaluation"), DAYS[-1:]).collect()
        assert set(table["arm"]) == set(evaluation["arm"])


def test_figures_of_the_distilled_arm_can_be_plotted_over_days(week: Week) -> None:
    shown = metadata(week.done[0])["simulated_ads/pre_ranking_click_evaluation"]
    for name in ("cd_calibration", "cd_ne", "cd_ne_change", "imp_calibration", "imp_ne", "imp_ne_change"):
        assert isinstance(shown[name], dg.FloatMetadataValue)
        # Rounded for people.
        assert shown[name].value == float(f"{shown[name].value:.4g}")


def test_the_page_of_an_evaluation_begins_with_its_verdict_and_its_picture(week: Week) -> None:
    shown = metadata(week.done[0])["simulated_ads/pre_ranking_click_evaluation"]
    assert next(iter(shown)) == "verdict"
    text = str(shown["verdict"].value)
    assert len(text) < 1000
    assert "calibration" in text
    assert f"(/reports/simulated_ads/{DAYS[0]}/pre_ranking_click.png)" in text
    assert (read_picture(week.settings, "simulated_ads", str(DAYS[0]), "pre_ranking_click") or b"").startswith(
        b"\x89PNG"
    )
    # A section of columns would stand before it.
    assert "dagster/column_schema" not in shown
    assert isinstance(shown["columns"], dg.TableSchemaMetadataValue)


def test_the_release_decision_of_each_day_is_kept_with_its_reasons(week: Week) -> None:
    history = week.store.release_history((CASCADE.name, "pre_ranking_click"))
    assert [decision["entry"]["day"] for decision in history] == [str(day) for day in DAYS]
    for decision in history:
        assert (decision["outcome"] == "released") == ("reasons" not in decision["entry"])


def test_a_rerun_of_an_older_day_publishes_the_same_and_leaves_the_release(week: Week) -> None:
    keys = [(CASCADE.name, student.name, arm) for student in CASCADE.students for arm in ("baseline", "distilled")]
    grouped = [(CASCADE.name, student.name, "calibration_by_group") for student in CASCADE.students]
    groups = [week.lake.scan(table, [DAYS[1]]).collect() for table in grouped]
    before = [week.store.load(key, DAYS[1]).version for key in keys], versions(week.lake, week.cascade, DAYS[1])
    released = week.store.released((CASCADE.name, "pre_ranking_click"))
    assert failures(run_day(week.settings, week.cascade, DAYS[1], report=False)) == {}
    assert (
        [week.store.load(key, DAYS[1]).version for key in keys],
        versions(week.lake, week.cascade, DAYS[1]),
    ) == before
    assert week.store.released((CASCADE.name, "pre_ranking_click")) == released
    assert all(
        week.lake.scan(table, [DAYS[1]]).collect().equals(each) for table, each in zip(grouped, groups, strict=True)
    )


def test_a_student_is_trained_with_what_was_selected_the_day_before_and_at_first_with_all(week: Week) -> None:
    key = (CASCADE.name, "selecting")
    unions = [week.lake.scan((*key, "feature_union"), [day]).collect() for day in DAYS]
    expected = [set(unions[0]["feature"]), *({*chosen_of(union)} for union in unions[:2])]
    for day, names in zip(DAYS, expected, strict=True):
        for arm in ("baseline", "distilled"):
            features = week.store.load((*key, arm), day).metadata["encoder"]["features"]
            assert {feature["name"] for feature in features} == names
    assert [len(chosen_of(union)) for union in unions] == [5] * 3


def test_the_terminal_names_the_chosen_features(week: Week, capsys: pytest.CaptureFixture[str]) -> None:
    show_run(week.settings, week.cascade, DAYS, None, details=True)
    said = " ".join(capsys.readouterr().out.split())
    chosen = chosen_of(week.lake.scan((CASCADE.name, "selecting", "feature_union"), DAYS[-1:]).collect())
    assert "Rule grouped permutation chose 5 of 11 candidates, at a cost of 5; allowed are 5 features." in said
    assert f"In the order of choice: {', '.join(chosen)}." in said
    # Other students have nothing to choose.
    assert said.count("In the order of choice") == 1


def test_the_rules_are_compared_on_shown_and_considered_rows_with_every_label_that_is_known(week: Week) -> None:
    table = week.lake.scan((CASCADE.name, "selecting", "selection_comparison"), DAYS[-1:]).collect()
    views = set(zip(table["domain"], table["reference"], strict=True))
    assert views == {("IMP", "label"), ("CD", "teacher"), ("IMP", "truth"), ("CD", "truth")}
    assert (table.filter(rule="impression", size="equal")["ne_change"] == 0).all()
    assert table.filter(pl.col("size") == "equal")["features"].unique().to_list() == [5]
    assert table["ne_change_error"].is_finite().all()


def test_importance_is_of_withheld_rows_and_both_trainings_go_on_from_yesterdays(week: Week) -> None:
    held = week.lake.scan((CASCADE.name, "selecting", "teacher_augmented"), DAYS[-1:]).filter("withheld").collect()
    for name, domain in (("impression_importance", "IMP"), ("consideration_importance", "CD")):
        table = week.lake.scan((CASCADE.name, "selecting", name), DAYS[-1:]).collect()
        measured, judged = halves(held.filter(domain=domain), week.cascade.student("selecting").seed)
        assert table["rows"].unique().to_list() == [measured.height]
        compared = week.lake.scan((CASCADE.name, "selecting", "selection_comparison"), DAYS[-1:]).collect()
        assert compared.filter(domain=domain)["rows"].unique().to_list() == [judged.height]
        assert table["trainings"].unique().to_list() == [2]
    for training in range(2):
        key = (CASCADE.name, "selecting", f"simplified_{training}")
        versions_of = [week.store.load(key, day) for day in DAYS[:2]]
        assert versions_of[1].metadata["warm_start"] == f"{DAYS[0]}/{versions_of[0].version}"


def test_metadata_for_the_ui(week: Week) -> None:
    shown = metadata(week.done[0])["simulated_ads/impressions"]
    assert shown["dagster/partition_row_count"].value == 500 * 6
    assert "event_log.event" in str(shown["columns"].value)
    assert "dagster/column_lineage" in shown
    assert "dagster/column_schema" in shown


def test_a_day_before_the_cascade_has_no_partition(week: Week) -> None:
    with pytest.raises(dg.DagsterUnknownPartitionError):
        run_day(week.settings, week.cascade, date(2025, 12, 31))
