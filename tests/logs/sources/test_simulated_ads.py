import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal, assert_series_equal

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.errors import SourceError
from ukdsl_assets.logs.contract import CANDIDATE_ORDER, EVENT_ORDER, candidate_log_schema, event_log_schema
from ukdsl_assets.logs.sources import simulated_ads as simulated
from ukdsl_assets.logs.sources.simulated_ads import SimulatedAdsReader

pytestmark = pytest.mark.slow
CASCADE = read_cascade(SHIPPED / "simulated_ads.yaml")
FIRST = CASCADE.first_day
# When the first day's event log is read, unless another moment is asked for.
MORNING = datetime(FIRST.year, FIRST.month, FIRST.day, 5, tzinfo=UTC) + timedelta(days=1)


def _day(index: int) -> date:
    return FIRST + timedelta(days=index)


def _changed(**changes: Any) -> Cascade:
    return Cascade.model_validate({**CASCADE.model_dump(), "students": (), "segments": (), **changes})


@pytest.fixture
def state(warm_state: Path, tmp_path: Path) -> str:
    return str(shutil.copytree(warm_state, tmp_path / "state"))


@pytest.fixture
def copy_of_state(warm_state: Path, tmp_path: Path) -> Callable[[], str]:
    numbers = iter(range(9))
    return lambda: str(shutil.copytree(warm_state, tmp_path / f"copy{next(numbers)}"))


@pytest.fixture(scope="module")
def log(warm_state: Path) -> pl.DataFrame:
    return SimulatedAdsReader(CASCADE, str(warm_state), "small").read(FIRST).candidate_log


def test_the_log_has_the_contracts_columns_and_types(log: pl.DataFrame) -> None:
    categorical = {f.name: pl.Int64 for f in CASCADE.features if f.kind == "categorical"}
    vectors = {f.name: pl.Array(pl.Float32, f.width) for f in CASCADE.features if f.width is not None}
    features = {f.name: (categorical | vectors)[f.name] for f in CASCADE.features}

    assert dict(log.schema) == {
        "request_id": pl.Int64,
        "candidate_id": pl.Int64,
        "requested_at": pl.Datetime("us", "UTC"),
        "deepest_stage": pl.String,
        "retrieval_click_prediction": pl.Float32,
        "pre_ranking_click_prediction": pl.Float32,
        "ranking_click_prediction": pl.Float32,
        "ranking_conversion_prediction": pl.Float32,
        "bid": pl.Float32,
        "shown": pl.Boolean,
        "explored": pl.Boolean,
        "propensity": pl.Float32,
        "probed": pl.Boolean,
        "probe_rate": pl.Float32,
        **features,
        "audit_true_click": pl.Float32,
        "audit_true_conversion": pl.Float32,
    }
    assert log.columns[14:-2] == [feature.name for feature in CASCADE.features]


def test_the_logs_pass_the_contracts_rules(state: str) -> None:
    candidates, events = SimulatedAdsReader(CASCADE, state, "small").read(_day(1))

    assert candidate_log_schema(CASCADE).is_valid(candidates)
    assert event_log_schema(CASCADE).is_valid(events)


def test_pre_ranking_promises_more_than_ranking_finds_while_ranking_is_about_right(state: str) -> None:
    source = SimulatedAdsReader(CASCADE, state, "small")
    ranked = pl.concat(
        source.read(_day(index)).candidate_log.filter(pl.col("deepest_stage") == "ranking") for index in range(1, 5)
    )
    pre_ranking, ranking, truth = (
        ranked[column].mean()
        for column in ("pre_ranking_click_prediction", "ranking_click_prediction", "audit_true_click")
    )

    assert 1.08 < pre_ranking / ranking < 1.4  # type: ignore[operator]
    assert 0.85 < ranking / truth < 1.2  # type: ignore[operator]


def test_each_request_has_300_candidates_of_which_80_24_and_6_get_on(log: pl.DataFrame) -> None:
    counts = log.group_by("request_id").agg(
        pl.len().alias("retrieval"),
        pl.col("deepest_stage").is_in(["pre_ranking", "ranking"]).sum().alias("pre_ranking"),
        (pl.col("deepest_stage") == "ranking").sum().alias("ranking"),
        pl.col("shown").sum().alias("shown"),
    )

    assert counts.height == 500
    assert counts.drop("request_id").unique().rows() == [(300, 80, 24, 6)]
    assert log.select(pl.struct("request_id", "candidate_id").is_unique().all()).item()
    assert_frame_equal(log, log.sort("request_id", "candidate_id"))


def test_every_stage_keeps_the_top_by_bid_times_logged_prediction(log: pl.DataFrame) -> None:
    scored = log
    for stage, kept in (("retrieval", 80), ("pre_ranking", 24)):
        score = pl.col("bid") * pl.col(f"{stage}_click_prediction")
        scored = scored.with_columns(rank=score.rank("ordinal", descending=True).over("request_id"))
        is_kept = pl.col("deepest_stage") != stage
        assert scored.filter(is_kept)["rank"].max() == kept
        scored = scored.filter(is_kept)


def test_two_in_a_hundred_of_what_a_stage_rejects_are_probes_and_none_is_shown(log: pl.DataFrame) -> None:
    for stage, rejected in (("retrieval", 500 * 220), ("pre_ranking", 500 * 56)):
        probes = log.filter("probed", deepest_stage=stage)
        # Within five standard deviations of a binomial sample.
        assert abs(probes.height - 0.02 * rejected) < 5 * (0.02 * 0.98 * rejected) ** 0.5
    assert log.filter(pl.col("probed") & (pl.col("shown") | (pl.col("deepest_stage") == "ranking"))).is_empty()
    assert log.filter("probed")["probe_rate"].unique().to_list() == pytest.approx([0.02])


def test_probes_change_nothing_of_what_is_served_and_are_scored_as_the_next_stage_scores(
    log: pl.DataFrame, state: str
) -> None:
    source = CASCADE.source.model_copy(update={"probe_rate": 1.0})
    probed = CASCADE.model_copy(update={"source": source})
    every = SimulatedAdsReader(probed, state, "small").read(_day(0)).candidate_log
    of_probes = ["probed", "probe_rate", "pre_ranking_click_prediction", "ranking_click_prediction"]
    of_probes.append("ranking_conversion_prediction")
    assert_frame_equal(every.drop(of_probes), log.drop(of_probes))
    # With every one probed, the probes of 2% are among them with the same scores.
    assert every["ranking_click_prediction"].null_count() == 500 * 220
    both = log.filter("probed").join(every, on=["request_id", "candidate_id"], suffix="_of_all")
    for name in of_probes[2:]:
        assert_series_equal(both[name], both[f"{name}_of_all"], check_names=False, rel_tol=1e-5)
    served = log.filter(deepest_stage="ranking")
    assert_series_equal(
        served["ranking_click_prediction"], every.filter(deepest_stage="ranking")["ranking_click_prediction"]
    )


def test_predictions_signals_and_detail_are_null_exactly_below_their_stage(log: pl.DataFrame) -> None:
    ranked = pl.col("deepest_stage") == "ranking"
    pre_ranked = ranked | (pl.col("deepest_stage") == "pre_ranking")
    probe_of_retrieval, probe_of_pre_ranking = (
        pl.col("probed") & (pl.col("deepest_stage") == stage) for stage in ("retrieval", "pre_ranking")
    )
    known = {
        "retrieval_click_prediction": pl.lit(True),
        "pre_ranking_click_prediction": pre_ranked | probe_of_retrieval,
        "ranking_click_prediction": ranked | probe_of_pre_ranking,
        "ranking_conversion_prediction": ranked | probe_of_pre_ranking,
        "probe_rate": pl.col("probed"),
        "user_profile_detail": ranked,
        "pair_signals": ranked,
        "propensity": pl.col("explored"),
    }

    for name, where in known.items():
        assert log.select((pl.col(name).is_not_null() == where).all()).item(), name
    assert sum(log.drop(known).null_count().row(0)) == 0
    predictions = log.select(pl.col("^.*_prediction$", "^audit_true_.*$"))
    assert predictions.min().min_horizontal().item() > 0
    assert predictions.max().max_horizontal().item() < 1


def test_request_features_have_one_value_and_times_lie_in_the_day(log: pl.DataFrame) -> None:
    names = [f.name for f in CASCADE.features if f.side == "request"]

    assert log.group_by("request_id").agg(pl.col(*names, "requested_at").drop_nulls().n_unique()).select(
        (pl.col(*names, "requested_at") == 1).all()
    ).row(0) == (True,) * (len(names) + 1)
    assert log["requested_at"].dt.date().unique().to_list() == [FIRST]
    assert (log["requested_at"].dt.hour() == log["hour"]).all()


def test_vectors_and_ads_reach_their_rows(log: pl.DataFrame, warm_state: Path) -> None:
    from ukdsl_assets.simulation.ads.truth import pair_signals
    from ukdsl_assets.simulation.ads.world import World

    world = World(CASCADE.source.seed)  # type: ignore[union-attr]
    requests, ads = world.requests(0, 500), world.ads(0)
    ranked = log.filter(pl.col("deepest_stage") == "ranking")
    slots = np.searchsorted(ads.ad, ranked["ad"].to_numpy()).reshape(500, 24)

    np.testing.assert_array_equal(
        ranked["pair_signals"].to_numpy().reshape(500, 24, 8), pair_signals(requests, ads, slots)
    )
    whole = np.concatenate([ranked["user_profile"].to_numpy(), ranked["user_profile_detail"].to_numpy()], axis=1)
    np.testing.assert_array_equal(whole, np.repeat(requests.profile, 24, axis=0))
    np.testing.assert_array_equal(ranked["category"].to_numpy(), ads.category[slots].ravel())
    np.testing.assert_array_equal(ranked["bid"].to_numpy(), ads.bid[slots].ravel())


def test_explored_rows_are_shown_rows_of_propensity_a_quarter(log: pl.DataFrame) -> None:
    explored = log.filter("explored")

    assert explored["shown"].all()
    assert explored["propensity"].unique().to_list() == [0.25]
    assert explored.group_by("request_id").len()["len"].unique().to_list() == [6]
    assert 0 < explored["request_id"].n_unique() <= 25


def test_events_belong_to_shown_candidates_and_follow_the_request(state: str) -> None:
    candidates, events = SimulatedAdsReader(CASCADE, state, "small").read(FIRST)

    assert dict(events.schema) == {
        "request_id": pl.Int64,
        "candidate_id": pl.Int64,
        "event": pl.String,
        "occurred_at": pl.Datetime("us", "UTC"),
        "value": pl.Float32,
    }
    assert_frame_equal(events, events.sort("request_id", "candidate_id", "occurred_at", "event"))
    shown = candidates.filter("shown").select("request_id", "candidate_id", "requested_at", "bid")
    joined = events.join(shown, on=["request_id", "candidate_id"], how="left")
    assert (joined["occurred_at"] >= joined["requested_at"]).all()
    impressions = events.filter(event="impression").select("request_id", "candidate_id")
    assert_frame_equal(impressions, shown.select("request_id", "candidate_id"))
    clicks, conversions = (joined.filter(event=event) for event in ("click", "conversion"))
    assert 20 < clicks.height < 300
    assert conversions.join(clicks, on=["request_id", "candidate_id"], how="anti").is_empty()
    np.testing.assert_allclose(conversions["value"], conversions["bid"] * 10, rtol=1e-6)
    assert joined.filter(pl.col("event") != "conversion")["value"].null_count() == joined.height - conversions.height


def test_skipping_days_gives_the_same_logs_as_going_day_by_day(copy_of_state: Callable[[], str]) -> None:
    day_by_day = SimulatedAdsReader(CASCADE, copy_of_state(), "small")
    for index in range(1, 3):
        day_by_day.read(_day(index))

    skipped, stepped = SimulatedAdsReader(CASCADE, copy_of_state(), "small").read(_day(3)), day_by_day.read(_day(3))

    assert_frame_equal(skipped.candidate_log, stepped.candidate_log)
    assert_frame_equal(skipped.event_log, stepped.event_log)


def test_a_day_is_the_same_before_and_after_other_days_are_simulated(state: str) -> None:
    source = SimulatedAdsReader(CASCADE, state, "small")
    before = source.read(FIRST)
    source.read(_day(8))

    for again in (source.read(FIRST), SimulatedAdsReader(CASCADE, state, "small").read(FIRST)):
        assert_frame_equal(again.candidate_log, before.candidate_log)
        assert_frame_equal(again.event_log, before.event_log)


def test_an_interrupted_run_resumes_after_the_last_simulated_day(copy_of_state: Callable[[], str]) -> None:
    told: list[tuple[int, int]] = []

    def interrupt(what: str, done: int, days: int) -> None:
        told.append((done, days))
        if done == 2:
            raise KeyboardInterrupt

    folder = copy_of_state()
    with pytest.raises(KeyboardInterrupt):
        SimulatedAdsReader(CASCADE, folder, "small", interrupt).read(_day(5))
    resumed = SimulatedAdsReader(CASCADE, folder, "small", lambda what, done, days: told.append((done, days)))

    logs = resumed.read(_day(5))

    assert told == [(1, 4), (2, 4), (1, 2), (2, 2)]
    assert_frame_equal(
        logs.candidate_log, SimulatedAdsReader(CASCADE, copy_of_state(), "small").read(_day(5)).candidate_log
    )


def test_a_day_is_the_same_rows_in_parts_of_any_size(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = SimulatedAdsReader(CASCADE, state, "small")
    whole = list(source.read_in_parts(FIRST))
    monkeypatch.setattr(simulated, "ROWS_AT_ONCE", 40_000)
    parts = list(source.read_in_parts(FIRST))
    assert [part.candidate_log.height for part in whole] == [150_000]
    assert [part.candidate_log.height for part in parts] == [39_900, 39_900, 39_900, 30_300]
    for together, once in zip(zip(*parts, strict=True), whole[0], strict=True):
        assert_frame_equal(pl.concat(together), once)


def test_parts_are_whole_requests_in_the_contracts_order(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated, "ROWS_AT_ONCE", 40_000)
    parts = list(SimulatedAdsReader(CASCADE, state, "small").read_in_order(FIRST))
    for log, order in zip(zip(*parts, strict=True), (CANDIDATE_ORDER, EVENT_ORDER), strict=True):
        together = pl.concat(log)
        assert_frame_equal(together, together.sort(order, maintain_order=True))
    requests = [set(part.candidate_log["request_id"]) for part in parts]
    assert len(set().union(*requests)) == sum(map(len, requests)) == 500
    for part, numbers in zip(parts, requests, strict=True):
        assert set(part.event_log["request_id"]) <= numbers


def test_the_models_have_learnt_from_a_day_once_its_last_part_is_taken(
    copy_of_state: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def states(folder: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in Path(folder).rglob("*.safetensors")}

    whole, taken, left, last = (copy_of_state() for _ in range(4))
    SimulatedAdsReader(CASCADE, last, "small").read(_day(1))
    SimulatedAdsReader(CASCADE, whole, "small").read(FIRST)
    monkeypatch.setattr(simulated, "ROWS_AT_ONCE", 40_000)
    for _ in SimulatedAdsReader(CASCADE, taken, "small").read_in_parts(FIRST):
        pass
    parts = SimulatedAdsReader(CASCADE, left, "small").read_in_parts(FIRST)
    next(parts)
    parts.close()  # type: ignore[attr-defined]
    assert states(whole) == states(taken) == states(left)
    assert states(taken)["0.safetensors"] == states(last)["0.safetensors"]


def test_an_error_of_the_training_is_raised(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ArithmeticError("no number")

    from ukdsl_assets.simulation.ads.production import ProductionModels

    (Path(state) / "seed=1" / "scale=small" / "0.safetensors").unlink(missing_ok=True)
    monkeypatch.setattr(ProductionModels, "train", broken)
    with pytest.raises(ArithmeticError, match="no number"):
        SimulatedAdsReader(CASCADE, state, "small").read(FIRST)


def test_a_later_rerun_finds_the_conversions_that_came_late(state: str) -> None:
    early = SimulatedAdsReader(CASCADE, state, "small").read(FIRST)
    late = SimulatedAdsReader(CASCADE, state, "small", as_of=MORNING + timedelta(days=7)).read(FIRST)

    assert early.event_log["occurred_at"].max() < MORNING  # type: ignore[operator]
    assert_frame_equal(late.candidate_log, early.candidate_log)
    assert_frame_equal(late.event_log.filter(pl.col("occurred_at") < MORNING), early.event_log)
    found = late.event_log.filter(pl.col("occurred_at") >= MORNING)
    assert found.height > 0
    assert found["event"].unique().to_list() == ["conversion"]


def test_the_event_log_holds_the_events_before_as_of_given_in_any_zone(state: str) -> None:
    whole = SimulatedAdsReader(CASCADE, state, "small").read(FIRST).event_log
    noon = MORNING - timedelta(hours=17)
    elsewhere = noon.astimezone(timezone(timedelta(hours=9)))

    until_noon, nothing = (
        SimulatedAdsReader(CASCADE, state, "small", as_of=as_of).read(FIRST).event_log
        for as_of in (elsewhere, noon - timedelta(days=1))
    )

    assert_frame_equal(until_noon, whole.filter(pl.col("occurred_at") < noon))
    assert 0 < until_noon.height < whole.height
    assert nothing.is_empty()
    assert nothing.schema == whole.schema


def test_as_of_without_a_zone_is_refused_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"as_of: saw 2026-01-09T05:00:00 without .*write 2026-01-09T05:00:00\+00:00"):
        SimulatedAdsReader(CASCADE, str(tmp_path), "small", as_of=datetime(2026, 1, 9, 5))


def test_fewer_features_in_another_order_are_filled_alike(state: str, log: pl.DataFrame) -> None:
    declared = [feature.model_dump() for feature in CASCADE.features if feature.name in ("ad", "hour", "pair_signals")]
    cascade = _changed(features=declared[::-1], has_truth=False, has_bid=False)

    fewer = SimulatedAdsReader(cascade, state, "small").read(FIRST).candidate_log

    assert fewer.columns[-3:] == ["pair_signals", "ad", "hour"]
    assert "bid" not in fewer.columns
    assert "audit_true_click" not in fewer.columns
    assert_frame_equal(fewer, log.select(fewer.columns))


def test_another_cost_of_a_feature_is_fine(state: str) -> None:
    declared = [feature.model_dump() | {"cost": 7.0} for feature in CASCADE.features]

    assert SimulatedAdsReader(_changed(features=declared), state, "small").read(FIRST).candidate_log.height == 150_000


def test_an_unknown_feature_is_named_beside_the_known_ones(tmp_path: Path) -> None:
    declared = [*(f.model_dump() for f in CASCADE.features), {"name": "mood", "kind": "numeric", "side": "request"}]

    with pytest.raises(SourceError, match=r"unknown feature `mood`.*user_segment.*pair_signals"):
        SimulatedAdsReader(_changed(features=declared), str(tmp_path), "small")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"identifiers": "string"}, "identifiers: saw string, expected integer"),
        ({"stages": [{"name": "ranking"}], "features": [], "teachers": ()}, "stages: saw ranking, expected retrieval"),
        ({"tasks": [{"name": "click", "event": "tap", "attribution_window": "P1D"}]}, "'tap'"),
        ({"source": {"kind": "parquet", "path": "x"}}, "source.kind: expected `simulated`, saw `parquet`"),
    ],
)
def test_what_the_world_cannot_fill_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    if change.get("features") == []:
        change["features"] = [{"name": "hour", "kind": "categorical", "side": "request"}]
    if "tasks" in change:
        change["stages"] = [{"name": name, "predicts": ["click"]} for name in ("retrieval", "pre_ranking", "ranking")]
    with pytest.raises(SourceError, match=message):
        SimulatedAdsReader(_changed(**change), str(tmp_path), "small")


def test_a_feature_of_another_kind_is_refused(tmp_path: Path) -> None:
    declared = [{"name": "user_profile", "kind": "vector", "width": 8, "side": "request"}]

    with pytest.raises(SourceError, match=r"features.user_profile: saw .*8.*expected .*4"):
        SimulatedAdsReader(_changed(features=declared), str(tmp_path), "small")


def test_days_before_the_first_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="before first_day 2026-01-01"):
        SimulatedAdsReader(CASCADE, str(tmp_path), "small").read(_day(-1))
