"""Logs of the simulated item page: they keep the contract, and say what was shown where and what came of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.errors import SourceError
from ukdsl_assets.gates import blocking
from ukdsl_assets.logs.clock import known_until
from ukdsl_assets.logs.contract import DayOfLogs
from ukdsl_assets.logs.gates.day import read_and_judge
from ukdsl_assets.logs.sources.simulated_item_page import SimulatedItemPageReader
from ukdsl_assets.settings import Settings

CASCADE = read_cascade(SHIPPED / "simulated_item_page.yaml")
DAY = CASCADE.first_day + timedelta(days=1)


def changed(**changes: Any) -> Cascade:
    none = {"segments": (), "students": (), "teachers": (), "page": None, "off_policy": None}
    return Cascade.model_validate({**CASCADE.model_dump(), **none, **changes})


@pytest.fixture(scope="module")
def logs() -> DayOfLogs:
    return SimulatedItemPageReader(CASCADE, "small").read(DAY)


def test_a_day_passes_every_gate_and_is_the_same_again(logs: DayOfLogs) -> None:
    judged = read_and_judge(SimulatedItemPageReader(CASCADE, "small"), CASCADE, DAY, [6000], shards=2)
    assert not blocking(judged.results)
    assert judged.rows == {"candidate_log": len(logs.candidate_log), "event_log": len(logs.event_log)}
    again = SimulatedItemPageReader(CASCADE, "small").read(DAY)
    assert logs.candidate_log.equals(again.candidate_log)
    assert logs.event_log.equals(again.event_log)
    assert len(logs.candidate_log) == 500 * 12


def test_six_slots_of_a_page_are_shown_and_each_has_its_impression(logs: DayOfLogs) -> None:
    shown = logs.candidate_log.filter("shown")
    slots = shown.group_by("request_id").agg(pl.col("slot").sort())
    assert slots["slot"].to_list() == [[1, 2, 3, 4, 5, 6]] * 500
    assert logs.candidate_log.filter(~pl.col("shown"))["slot"].is_null().all()
    keys = ["request_id", "candidate_id"]
    impressions = logs.event_log.filter(event="impression")
    assert impressions.select(keys).sort(keys).equals(shown.select(keys).sort(keys))
    purchases = logs.event_log.filter(event="purchase")
    assert len(purchases) > 0
    assert purchases.join(logs.event_log.filter(event="click"), on=keys, how="anti").is_empty()


def test_an_earlier_clock_knows_fewer_events(logs: DayOfLogs) -> None:
    noon = datetime(DAY.year, DAY.month, DAY.day, 12, tzinfo=UTC)
    early = SimulatedItemPageReader(CASCADE, "small", noon).read(DAY)
    assert early.event_log.equals(logs.event_log.filter(pl.col("occurred_at") < noon))
    assert 0 < len(early.event_log) < len(logs.event_log)


def test_a_days_events_are_read_at_five_of_the_next_morning(logs: DayOfLogs) -> None:
    clock = known_until(CASCADE, Settings(as_of=None), DAY)
    assert clock == datetime(DAY.year, DAY.month, DAY.day, 5, tzinfo=UTC) + timedelta(days=1)
    assert logs.event_log["occurred_at"].max() < clock  # type: ignore[operator]


def test_personalisation_changes_what_is_clicked_and_nothing_else_of_the_candidates(logs: DayOfLogs) -> None:
    def read(level: float) -> DayOfLogs:
        source = {"kind": "simulated_item_page", "seed": 1, "personalisation": level}
        return SimulatedItemPageReader(changed(source=source), "small").read(DAY)

    usual, flat = read(1.0), read(0.0)
    assert usual.event_log.equals(logs.event_log)
    assert not flat.event_log.equals(logs.event_log)
    features = [feature.name for feature in CASCADE.features if feature.name != "slot"]
    assert flat.candidate_log.select(features).equals(logs.candidate_log.select(features))


def test_a_day_before_the_first_is_refused() -> None:
    with pytest.raises(SourceError, match=r"no logs before first_day 2026-01-01; ask for a later day"):
        SimulatedItemPageReader(CASCADE, "small").read(CASCADE.first_day - timedelta(days=1))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"has_bid": True}, "identifiers, has_bid, has_truth: expected integer, false and false"),
        ({"stages": [{"name": "ranking", "predicts": []}]}, r"stages: saw ranking, expected \[{name: module_ranking"),
        (
            {"features": [{"name": "slot", "kind": "categorical", "side": "candidate"}]},
            r"features.slot: saw {.*}, expected {.*'served_as': 1}",
        ),
        (
            {"features": [{"name": "mood", "kind": "numeric", "side": "request"}]},
            "features: unknown feature `mood`, expected some of user_segment",
        ),
    ],
)
def test_what_the_world_cannot_fill_is_refused_by_name(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SourceError, match=said):
        SimulatedItemPageReader(changed(**changes), "small")
