"""A day of off-policy estimates on a lake of the simulated item page: rows, policies, production's order, the gate."""

import datetime as dt
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.fixtures.engines import with_pickling_engine
from tests.fixtures.explored_day import GivenLogs, logs_of, publish, publish_student, trained
from ukdsl_assets.declaration.columns import KEYS
from ukdsl_assets.declaration.off_policy import OffPolicy
from ukdsl_assets.declaration.page import Page
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.declaration.release import Release
from ukdsl_assets.errors import LakeError
from ukdsl_assets.frames.served_as import as_scored
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.learning.students.fit import Fit
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.logs.contract import DayOfLogs
from ukdsl_assets.off_policy.gates import judge_off_policy
from ukdsl_assets.off_policy.policies import top
from ukdsl_assets.pages.page import build_page
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.off_policy import (
    estimated_checkpoints,
    estimated_day,
    inputs_of,
    policies_of,
    policy_gate,
    trailing_estimates,
)
from ukdsl_assets.pipeline.page_policy import TABLE, greedy_rules
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

pytestmark = pytest.mark.slow
CASCADE = read_cascade(SHIPPED / "simulated_item_page.yaml")
CLICK, PURCHASE = CASCADE.students
DAYS = [dt.date(2026, 1, 1), dt.date(2026, 1, 2)]
Made = tuple[Workspace, dict[str, Fit]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Two small days, with the same students on both."""
    folder = tmp_path_factory.mktemp("lake")
    workspace = Workspace.open(Settings(lake=str(folder), threads=1, shards=2, scale="small"))
    source = Day(workspace, CASCADE, DAYS[0]).source(print)
    parts = [publish(workspace, CASCADE, day, source) for day in DAYS]
    fits = {each.name: trained(CASCADE, each.name, parts[0]) for each in CASCADE.students}
    for day in DAYS:
        for name, fit in fits.items():
            publish_student(workspace, CASCADE, name, fit, day)
    return workspace, fits


def explored_rows(workspace: Workspace, day: dt.date) -> pl.DataFrame:
    """Candidates of explored requests with their labels."""
    log = workspace.lake.scan(("simulated_item_page", "candidate_log"), [day]).collect()
    labels = workspace.lake.scan(("simulated_item_page", "impressions"), [day]).collect()
    rows = log.filter(pl.col("explored").any().over("request_id")).sort(*KEYS)
    return rows.join(labels.select(*KEYS, "click", "purchase"), on=KEYS, how="left", maintain_order="left")


def said(student: FittedStudent, rows: pl.DataFrame) -> np.ndarray:
    return predict_student(student, rows.with_columns(as_scored(CASCADE.features)))[student.heads[-1]]


@pytest.mark.parametrize("name", ["module_click", "module_purchase"])
def test_estimates_are_those_that_one_counts_request_by_request(made: Made, name: str) -> None:
    workspace, students = made[0], {name: fit.student for name, fit in made[1].items()}
    table = estimated_day(Day(workspace, CASCADE, DAYS[1]), CASCADE.student(name))
    rows = explored_rows(workspace, DAYS[1])
    score = said(students["module_click"], rows)
    if name == "module_purchase":
        score = score * said(students["module_purchase"], rows)
    rows = rows.with_columns(score=pl.Series(score), held=withheld(rows["request_id"], CASCADE.withheld_share))
    for when, chosen in (("same_day", rows.filter("held")), ("next_day", rows)):
        for task in ("click", "purchase"):
            value, requests, matched = 0.0, 0, 0
            for _, page in chosen.group_by("request_id"):
                requests += 1
                best = page.sort("score", descending=True)["candidate_id"][:6].to_list()
                for row in page.filter("shown").iter_rows(named=True):
                    if best[row["slot"] - 1] == row["candidate_id"]:
                        matched += 1
                        value += 12 * (row[task] or 0.0)
            (found,) = table.filter(when=when, reward=task, estimator="ips").iter_rows(named=True)
            assert (found["requests"], found["matched"]) == (requests, matched)
            assert found["value"] == pytest.approx(value / requests)
            assert found["mean_weight"] == pytest.approx(2 * matched / requests)
            # The simulated page serves a static configuration, which the day's other requests show.
            assert found["production_of"] == "same requests"
    assert set(table["estimator"]) == {"ips", "snips", "dr", "sndr", "switch_dr", "pi", "rips", "cascade_dr"}
    assert set(table["checkpoint_day"]) == {DAYS[0], DAYS[1]}


def test_the_page_is_estimated_by_its_rules_on_both_students_as_one_counts_request_by_request(made: Made) -> None:
    workspace, students = made[0], {name: fit.student for name, fit in made[1].items()}
    assert CASCADE.page is not None
    table = estimated_day(Day(workspace, CASCADE, DAYS[1]), CASCADE.page)
    rows = explored_rows(workspace, DAYS[1])
    click, purchase = (said(students[each.name], rows).astype(np.float64) for each in CASCADE.students)
    rows = rows.with_columns(
        value=pl.Series(click + 5 * click * purchase), held=withheld(rows["request_id"], CASCADE.withheld_share)
    )
    rules, bound = greedy_rules(CASCADE), 0
    for when, chosen in (("same_day", rows.filter("held")), ("next_day", rows)):
        value, requests, matched = {"click": 0.0, "purchase": 0.0}, 0, 0
        for _, page in chosen.group_by("request_id"):
            requests += 1
            of = {"module_kind": page["module_kind"].to_list()}
            best = [
                page["candidate_id"][at] for at in build_page(rules, page["value"].to_numpy(), of, 1).order.tolist()
            ]
            bound += best != page.sort("value", descending=True)["candidate_id"][:6].to_list()
            for row in page.filter("shown").iter_rows(named=True):
                if best[row["slot"] - 1] == row["candidate_id"]:
                    matched += 1
                    value = {task: value[task] + 12 * (row[task] or 0.0) for task in value}
        for task, total in value.items():
            (found,) = table.filter(when=when, reward=task, estimator="ips").iter_rows(named=True)
            assert (found["requests"], found["matched"]) == (requests, matched)
            assert found["value"] == pytest.approx(total / requests)
            assert found["production_of"] == "same requests"
            assert found["checkpoint"].count(" ") == 1
    assert bound > 0
    free = CASCADE.model_copy(update={"page": Page(slots=6, value=CASCADE.page.value)})
    assert free.page is not None
    uncapped = estimated_day(Day(workspace, free, DAYS[1]), free.page)
    other = [each.filter(when="next_day", estimator="sndr")["value"].to_list() for each in (table, uncapped)]
    assert other[0] != pytest.approx(other[1])


def test_a_students_estimate_is_the_same_with_and_without_a_page_of_it(made: Made) -> None:
    workspace = made[0]
    without = CASCADE.model_copy(update={"page": None})
    assert_frame_equal(
        *(estimated_day(Day(workspace, cascade, DAYS[1]), CLICK) for cascade in (CASCADE, without)), check_exact=True
    )


def test_a_page_without_all_its_students_on_one_day_is_not_estimated(made: Made, tmp_path: Path) -> None:
    assert CASCADE.page is not None
    other = Workspace.open(Settings(lake=str(tmp_path), threads=1))
    logs, events = logs_of(made[0], CASCADE, DAYS[1])
    publish(other, CASCADE, DAYS[1], GivenLogs(DayOfLogs(logs, events)))
    publish_student(other, CASCADE, "module_click", made[1]["module_click"], DAYS[1])
    publish_student(other, CASCADE, "module_purchase", made[1]["module_purchase"], DAYS[0])
    day = Day(other, CASCADE, DAYS[1])
    assert policies_of(day, CASCADE.page) == []
    assert not len(estimated_day(day, CASCADE.page))
    publish_student(other, CASCADE, "module_click", made[1]["module_click"], DAYS[0])
    (policy,) = policies_of(day, CASCADE.page)
    assert (policy.when, [each.day for each in policy.own]) == ("next_day", [DAYS[0]] * 2)


def test_the_model_of_a_reward_is_asked_in_each_slot(made: Made) -> None:
    workspace, students = made[0], {name: fit.student for name, fit in made[1].items()}
    table = estimated_day(Day(workspace, CASCADE, DAYS[1]), CLICK)
    rows = explored_rows(workspace, DAYS[1])
    request = rows["request_id"].rle_id().cast(pl.Int64).to_numpy()
    slots = np.full(request.max() + 1, 6)
    placed = top(said(students["module_click"], rows).astype(np.float64), request, slots)
    in_slot = rows.with_columns(slot=pl.Series(np.maximum(placed, 1)).cast(rows.schema["slot"]))
    expected = predict_student(students["module_click"], in_slot)[students["module_click"].heads[-1]]
    direct = expected[placed > 0].sum() / len(slots)
    # Above a weight that no row has the model stands alone.
    changed = CASCADE.model_copy(update={"off_policy": OffPolicy(slot="slot", switch=1.0)})
    model = estimated_day(Day(workspace, changed, DAYS[1]), CLICK)
    (found,) = model.filter(when="next_day", reward="click", estimator="switch_dr").iter_rows(named=True)
    assert found["value"] == pytest.approx(direct, rel=1e-5)
    (own,) = table.filter(when="next_day", reward="click", estimator="switch_dr").iter_rows(named=True)
    assert own["value"] != pytest.approx(direct, rel=1e-3)


def test_the_table_is_the_same_wherever_shards_are_worked_on(made: Made) -> None:
    workspace, _ = made
    table = estimated_day(Day(workspace, CASCADE, DAYS[1]), CLICK)
    day = Day(workspace, CASCADE, DAYS[1])
    apart, engine = with_pickling_engine(workspace)
    assert_frame_equal(estimated_day(Day(apart, CASCADE, DAYS[1]), CLICK), table, check_exact=True)
    assert engine.mapped == {f"simulated_item_page/module_click/{TABLE}, day {DAYS[1]}": 2}
    assert {"same_day click", "next_day purchase"} <= inputs_of(day, policies_of(day, CLICK)).keys()


def test_where_its_order_is_not_known_production_is_what_it_earned_itself(made: Made, tmp_path: Path) -> None:
    workspace, _ = made
    other = Workspace.open(Settings(lake=str(tmp_path), threads=1, shards=1))
    logs, events = logs_of(workspace, CASCADE, DAYS[0])
    # What production shows changes from page to page: candidates change places by the page's number.
    moved = (pl.col("candidate_id") + pl.col("request_id")) % 16 + 1
    own = ~pl.col("explored").any().over("request_id")
    logs = logs.with_columns(candidate_id=pl.when(own).then(moved).otherwise("candidate_id"))
    kept = events.join(logs.filter("explored"), on=KEYS, how="semi")
    click = logs.filter(own & pl.col("shown")).head(30).select(*KEYS, occurred_at="requested_at")
    click = click.with_columns(event=pl.lit("click"), value=pl.lit(None, pl.Float32)).select(events.columns)
    impressions = publish(other, CASCADE, DAYS[0], GivenLogs(DayOfLogs(logs, pl.concat([kept, click]).sort(*KEYS))))
    publish_student(other, CASCADE, "module_click", made[1]["module_click"], DAYS[0])
    table = estimated_day(Day(other, CASCADE, DAYS[0]), CLICK)
    (found,) = table.filter(reward="click", estimator="ips").iter_rows(named=True)
    earned = impressions.filter(~pl.col("explored")).group_by("request_id").agg(pl.col("click").sum())["click"]
    assert found["production_of"] == "own requests"
    assert found["production_requests"] == len(earned)
    assert found["production"] == pytest.approx(30 / len(earned))
    assert found["difference"] == pytest.approx(found["value"] - found["production"])
    # Without a student of the other task nothing is expected of it.
    assert set(table.filter(reward="purchase")["estimator"]) == {"ips", "snips", "pi", "rips"}
    assert set(table["when"]) == {"same_day"}


def test_a_day_without_explored_requests_has_no_rows_and_is_not_judged(made: Made, tmp_path: Path) -> None:
    other = Workspace.open(Settings(lake=str(tmp_path), threads=1))
    logs, events = logs_of(made[0], CASCADE, DAYS[0])
    logs = logs.filter(~pl.col("explored").any().over("request_id"))
    publish(other, CASCADE, DAYS[0], GivenLogs(DayOfLogs(logs, events.join(logs, on=KEYS, how="semi"))))
    publish_student(other, CASCADE, "module_click", made[1]["module_click"], DAYS[0])
    day = Day(other, CASCADE, DAYS[0])
    table = estimated_day(day, CLICK)
    assert not len(table)
    results = judge_off_policy(CASCADE, CLICK, table.with_columns(day=pl.lit(DAYS[0])), DAYS[0])
    assert [(each.judged, each.passed) for each in results] == [(False, False)] * 2
    other.lake.commit(other.lake.stage_frame(day.table("module_click", TABLE), DAYS[0], table), {})
    assert trailing_estimates(day, CLICK).is_empty()


def test_requests_with_fewer_slots_than_others_are_estimated_beside_them(made: Made, tmp_path: Path) -> None:
    logs, events = logs_of(made[0], CASCADE, DAYS[0])
    first = logs.filter("explored")["request_id"].min()
    # Every explored page but one is cut to its first three slots, so that most shards have no deeper one.
    cut = pl.col("explored") & (pl.col("request_id") != first) & (pl.col("slot") > 3)
    logs = logs.with_columns(cut=cut.fill_null(value=False)).with_columns(
        *(
            pl.when("cut").then(value).otherwise(name).alias(name)
            for name, value in (("shown", False), ("explored", False))
        ),
        *(pl.when("cut").then(None).otherwise(name).alias(name) for name in ("slot", "propensity")),
    )
    half = pl.col("explored") & (pl.col("request_id") != first)
    logs = logs.drop("cut").with_columns(propensity=pl.when(half).then(0.25).otherwise("propensity").cast(pl.Float32))
    kept = events.join(logs.filter("shown"), on=KEYS, how="semi")
    tables = []
    for shards in (1, 6):
        other = Workspace.open(Settings(lake=str(tmp_path / str(shards)), threads=1, shards=shards))
        publish(other, CASCADE, DAYS[0], GivenLogs(DayOfLogs(logs, kept)))
        for date in DAYS:
            publish_student(other, CASCADE, "module_click", made[1]["module_click"], date - dt.timedelta(days=1))
        tables.append(estimated_day(Day(other, CASCADE, DAYS[0]), CLICK))
    assert {"dr", "cascade_dr", "pi"} <= set(tables[0]["estimator"])
    assert_frame_equal(*tables)


def test_slots_that_are_not_counted_as_declared_are_refused_by_request(made: Made, tmp_path: Path) -> None:
    other = Workspace.open(Settings(lake=str(tmp_path), threads=1))
    logs, events = logs_of(made[0], CASCADE, DAYS[0])
    twice = pl.when(pl.col("explored") & (pl.col("slot") == 2)).then(1).otherwise("slot")
    logs = logs.with_columns(slot=twice.cast(logs.schema["slot"]))
    publish(other, CASCADE, DAYS[0], GivenLogs(DayOfLogs(logs, events)))
    publish_student(other, CASCADE, "module_click", made[1]["module_click"], DAYS[0])
    with pytest.raises(LakeError, match=r"request \d+: its explored rows are not in slots 1, 2, \.\.\. once each"):
        estimated_day(Day(other, CASCADE, DAYS[0]), CLICK)


def test_the_release_asks_for_the_estimate_only_where_it_decides(made: Made) -> None:
    workspace, _ = made
    lake, tables = workspace.lake, []
    for date in DAYS:
        of = Day(workspace, CASCADE, date)
        tables.append(estimated_day(of, CLICK))
        lake.commit(lake.stage_frame(of.table("module_click", TABLE), date, tables[-1]), {})
    day = Day(workspace, CASCADE.model_copy(update={"evaluation_days": 2}), DAYS[1])
    assert (policy_gate(day, CLICK), estimated_checkpoints(day, CLICK)) == ([], [])
    decides = CLICK.model_copy(update={"release": Release(off_policy="above_production")})
    (verdict,) = policy_gate(day, decides)
    assert (verdict.judged, verdict.severity) == (False, "ERROR")
    assert "effective requests of 100 needed" in verdict.message
    assert "2 day(s)" in verdict.message
    assert estimated_checkpoints(day, decides) == tables[1].filter(when="same_day")["checkpoint"].unique().to_list()
    assert trailing_estimates(day, CLICK, DAYS)["day"].n_unique() == 2
    with pytest.raises(LakeError, match=r"has no day of 2026-01-05\.\.2026-01-05 below .*; it has 2026-01-01 to"):
        trailing_estimates(day, CLICK, [dt.date(2026, 1, 5)])


def test_rules_of_a_page_go_in_where_scores_become_slates(made: Made) -> None:
    workspace, _ = made
    day = Day(workspace, CASCADE, DAYS[1])

    def worst_first(score: np.ndarray, request: np.ndarray, slots: np.ndarray) -> np.ndarray:
        return top(-score, request, slots)

    best, worst = (estimated_day(day, CLICK, slate=slate) for slate in (partial(top), worst_first))
    of = [
        table.filter(when="next_day", reward="click", estimator="switch_dr")["matched"].item()
        for table in (best, worst)
    ]
    assert all(one != other for one, other in pairwise(of))
