"""KuaiRand-Pure: requests, drawn candidates and features that know nothing of their own day's outcomes."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.errors import SourceError
from ukdsl_assets.gates import blocking
from ukdsl_assets.logs.gates.rows import judge_candidate_log, judge_event_log
from ukdsl_assets.logs.sources.kuairand import LOGS, USERS, VIDEOS, KuaiRandReader, draw_unshown, requests_of
from ukdsl_assets.settings import Settings

FOLDER = Settings().kuairand
DAY = date(2022, 4, 27)
Test = TypeVar("Test", bound=Callable[..., None])
NO_DATA = "no KuaiRand-Pure logs; set UKDSL_KUAIRAND to their folder"


def needs_data(test: Test) -> Test:
    """Reads the whole logs, which takes seconds."""
    return pytest.mark.slow(pytest.mark.skipif(not FOLDER.is_dir(), reason=NO_DATA)(test))


@pytest.fixture(scope="module")
def kuairand() -> Cascade:
    return read_cascade(SHIPPED / "kuairand.yaml")


@pytest.fixture(scope="module")
def source(kuairand: Cascade) -> KuaiRandReader:
    return KuaiRandReader(kuairand, FOLDER)


def with_log(source: KuaiRandReader, impressions: pl.DataFrame) -> KuaiRandReader:
    """The same source, had the log been another."""
    other = KuaiRandReader(source.cascade, source.folder)
    other.impressions = impressions
    return other


def test_an_absent_folder_names_the_setting(kuairand: Cascade, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"val\.parquet.*UKDSL_KUAIRAND"):
        KuaiRandReader(kuairand, tmp_path)


def test_the_folder_is_a_path_and_no_pattern(kuairand: Cascade, tmp_path: Path) -> None:
    for name, user in (("run[1]", 1), ("run1", 2)):
        (tmp_path / name).mkdir()
        times = pl.int_range(5, eager=True) + 1_650_000_000_000
        rows = pl.select(user_id=user, video_id=times, tab=1, is_click=1, long_view=0, time_ms=times)
        for log in LOGS:
            rows.write_parquet(tmp_path / name / log)
        for table in (USERS, VIDEOS):
            pl.DataFrame({"user_id": [user]}).write_csv(tmp_path / name / table)
    reader = KuaiRandReader(kuairand, tmp_path / "run[1]")
    assert set(reader.impressions["user_id"]) == set(reader.users["user_id"]) == set(reader.videos["user_id"]) == {1}


impressions = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 1), st.integers(1, 12), st.integers(0, 6 * 3600)),
    min_size=1,
    max_size=60,
)


def shown_of(rows: list[tuple[int, int, int, int]]) -> pl.DataFrame:
    midnight = datetime(2022, 4, 27, tzinfo=UTC)
    frame = pl.DataFrame(rows, schema=["user_id", "tab", "video_id", "second"], orient="row")
    return frame.select(
        pl.exclude("second"),
        (pl.lit(midnight).dt.cast_time_unit("us") + pl.duration(seconds="second")).alias("occurred_at"),
    )


@given(impressions)
def test_requests_are_the_sessions_of_a_naive_walk(rows: list[tuple[int, int, int, int]]) -> None:
    gap = timedelta(minutes=30)
    log = shown_of(rows)
    expected = set()
    for user, tab in {(user, tab) for user, tab, *_ in rows}:
        mine = log.filter(user_id=user, tab=tab).sort("occurred_at", maintain_order=True).rows(named=True)
        starts = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(mine)) if b["occurred_at"] - a["occurred_at"] > gap)]
        for start, end in zip(starts, [*starts[1:], len(mine)], strict=True):
            first: dict[int, datetime] = {}
            for row in mine[start:end]:
                first.setdefault(row["video_id"], row["occurred_at"])
            expected |= {(user, tab, mine[start]["occurred_at"], video, at) for video, at in first.items()}
    seen = requests_of(log, gap)
    assert set(seen.select("user_id", "tab", "requested_at", "video_id", "occurred_at").rows()) == expected
    in_time = seen.unique("request_id").sort("request_id")
    assert in_time["request_id"].to_list() == [20220427 * 1_000_000 + i for i in range(in_time.height)]
    assert in_time["requested_at"].is_sorted()


@given(impressions, st.integers(1, 5), st.integers(0, 9))
def test_draws_are_distinct_videos_that_others_were_shown(
    rows: list[tuple[int, int, int, int]], per_impression: int, seed: int
) -> None:
    shown = requests_of(shown_of(rows), timedelta(minutes=30))
    drawn = draw_unshown(shown, per_impression, [seed]).sort("request_id", "video_id")
    assert not drawn.is_duplicated().any()
    videos_of = {key: set(part["video_id"]) for key, part in shown.group_by("tab")}
    for (request,), part in shown.group_by("request_id"):
        user, tab = part["user_id"][0], part["tab"][0]
        eligible = videos_of[(tab,)] - set(shown.filter(user_id=user, tab=tab)["video_id"])
        got = set(drawn.filter(request_id=request)["video_id"])
        assert got <= eligible
        assert len(got) == min(per_impression * part.height, len(eligible))
    shuffled = shown.sample(fraction=1, shuffle=True, seed=seed)
    assert_frame_equal(draw_unshown(shuffled, per_impression, [seed]).sort("request_id", "video_id"), drawn)


def test_every_eligible_video_is_drawn_equally_often() -> None:
    others = [(1, 0, video, 0) for video in range(100, 120)]
    shown = requests_of(shown_of([*others, *((user, 0, 1, 0) for user in range(2, 4002))]), timedelta(minutes=30))
    asking = shown.filter(pl.col("video_id") == 1).select("request_id")
    counts = draw_unshown(shown, 5, [3]).join(asking, on="request_id", how="semi")["video_id"].value_counts()
    assert counts.height == 20
    # 4,000 draws of 5 in 20: 1,000 each, with a standard deviation of 27.
    assert counts["count"].is_between(1000 - 5 * 27, 1000 + 5 * 27).all()


@needs_data
@pytest.mark.parametrize("day", [date(2022, 4, 25), DAY, date(2022, 5, 8)])
def test_declared_days_pass_every_gate(source: KuaiRandReader, day: date) -> None:
    logs = source.read(day)
    results = judge_candidate_log(source.cascade, day, logs.candidate_log)
    assert not blocking([*results, *judge_event_log(source.cascade, day, logs.event_log, logs.candidate_log)])


@needs_data
def test_shown_rows_and_events_are_those_of_the_log(source: KuaiRandReader) -> None:
    logs = source.read(DAY)
    today = source.impressions.filter(pl.col("day") == DAY)
    shown = logs.candidate_log.filter("shown")
    assert set(shown.select("user_id", "video_id", "tab").rows()) == set(
        today.select("user_id", "video_id", "tab").rows()
    )
    # Only repetitions of a video within a request are left out.
    assert 0.98 * today.height < shown.height <= today.height
    counts = dict(logs.event_log["event"].value_counts().iter_rows())
    assert counts["impression"] == shown.height
    for event, outcome in (("click", "is_click"), ("long_view", "long_view")):
        happened = today.filter(pl.col(outcome) == 1).height
        assert 0.98 * happened < counts[event] <= happened
    assert logs.event_log["occurred_at"].dt.date().unique().to_list() == [DAY]


@needs_data
def test_the_same_day_is_the_same_whatever_was_read_before(source: KuaiRandReader) -> None:
    source.read(date(2022, 5, 2))
    again, fresh = source.read(DAY), KuaiRandReader(source.cascade, FOLDER).read(DAY)
    assert_frame_equal(again.candidate_log, fresh.candidate_log)
    assert_frame_equal(again.event_log, fresh.event_log)


@needs_data
def test_another_seed_draws_others_and_shows_the_same(source: KuaiRandReader) -> None:
    declared = source.cascade.source.model_copy(update={"seed": 2})
    other = KuaiRandReader(source.cascade.model_copy(update={"source": declared}), FOLDER).read(DAY).candidate_log
    log = source.read(DAY).candidate_log
    assert_frame_equal(other.filter("shown"), log.filter("shown"))
    assert not other.equals(log)


@needs_data
def test_outcomes_of_the_day_and_whatever_is_later_change_no_candidate(source: KuaiRandReader) -> None:
    until_today = source.impressions.filter(pl.col("day") <= DAY)
    today = pl.col("day") == DAY
    flipped = [
        pl.when(today).then(1 - pl.col(outcome)).otherwise(outcome).alias(outcome)
        for outcome in ("is_click", "long_view")
    ]
    logs, other = source.read(DAY), with_log(source, until_today.with_columns(flipped)).read(DAY)
    assert_frame_equal(other.candidate_log, logs.candidate_log)
    clicked, others = (log.filter(event="click").height for log in (logs.event_log, other.event_log))
    assert clicked + others == logs.candidate_log["shown"].sum()


@needs_data
def test_outcomes_of_the_day_before_change_the_history_and_nothing_else(source: KuaiRandReader) -> None:
    yesterday = pl.col("day") == DAY - timedelta(days=1)
    flipped = pl.when(yesterday).then(1 - pl.col("is_click")).otherwise("is_click").alias("is_click")
    log = source.read(DAY).candidate_log
    other = with_log(source, source.impressions.with_columns(flipped)).read(DAY).candidate_log
    changed = {name for name in log.columns if not log[name].equals(other[name])}
    assert changed == {"user_click_rate", "user_tag_click_rate", "video_click_rate"}


@needs_data
def test_history_is_that_of_the_days_before(source: KuaiRandReader) -> None:
    log = source.read(DAY).candidate_log
    before = source.impressions.filter(pl.col("day").is_between(date(2022, 4, 25), DAY, closed="left"))
    for key, prefix in (("user_id", "user"), ("video_id", "video")):
        for value in log[key].unique().sort().gather_every(500):
            mine = before.filter(pl.col(key) == value)
            rows = log.filter(pl.col(key) == value)
            prior = (before.filter(is_click=1).height + 1) / (before.height + 2)
            rate = (mine.filter(is_click=1).height + 20 * prior) / (mine.height + 20)
            assert rows[f"{prefix}_impressions"].exp().round(3).unique().to_list() == [mine.height + 1]
            assert rows[f"{prefix}_click_rate"].unique().to_list() == pytest.approx([rate])


@needs_data
def test_the_first_day_has_no_history(source: KuaiRandReader) -> None:
    log = source.read(date(2022, 4, 25)).candidate_log
    for prefix in ("user", "user_tag", "video"):
        assert log[f"{prefix}_impressions"].unique().to_list() == [0.0]
        assert log[f"{prefix}_click_rate"].unique().to_list() == [0.5]
        assert log[f"{prefix}_long_view_rate"].unique().to_list() == [0.5]


@needs_data
@pytest.mark.parametrize("day", [date(2022, 4, 24), date(2022, 5, 9)])
def test_days_outside_the_declared_ones_are_refused(source: KuaiRandReader, day: date) -> None:
    with pytest.raises(SourceError, match="2022-04-25 to 2022-05-08"):
        source.read(day)


@needs_data
def test_a_tabs_cascade_knows_its_own_tab_alone(source: KuaiRandReader) -> None:
    cascade = read_cascade(SHIPPED / "kuairand_tab6.yaml")
    mine = KuaiRandReader(cascade, FOLDER).read(DAY)
    assert mine.candidate_log["tab"].unique().to_list() == [6]
    whole = source.read(DAY).candidate_log.filter("shown", tab=6)
    shown = mine.candidate_log.filter("shown")
    keys = ["user_id", "video_id", "requested_at"]
    assert_frame_equal(shown.select(keys).sort(keys), whole.select(keys).sort(keys))
    # Histories are of this tab, so no longer than those of all tabs.
    both = shown.select(*keys, "user_impressions").join(whole.select(*keys, "user_impressions"), on=keys)
    assert (both["user_impressions"] <= both["user_impressions_right"]).all()
    assert (both["user_impressions"] < both["user_impressions_right"]).any()
