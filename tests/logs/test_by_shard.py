"""A day that comes in parts is put together by shard as if it had been whole, and judged alike."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.fixtures.log_faults import ADS_FAULTS, every, where
from tests.fixtures.log_files import DAY, declared, write, write_day
from tests.fixtures.logs import make_logs
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.frames.splits import shard_of
from ukdsl_assets.gates import GateResult
from ukdsl_assets.logs.by_shard import by_shard, in_order, whole_day
from ukdsl_assets.logs.contract import CANDIDATE_ORDER, EVENT_ORDER, DayOfLogs
from ukdsl_assets.logs.gates.day import read_and_judge
from ukdsl_assets.logs.gates.drift import volume
from ukdsl_assets.logs.gates.rows import judge_candidate_log, judge_event_log
from ukdsl_assets.logs.sources import parquet
from ukdsl_assets.logs.sources.parquet import ParquetReader

ROWS = 100  # of a part


class InParts:
    """A day in shuffled parts; requests are spread over them."""

    def __init__(self, logs: DayOfLogs, rows: int = ROWS) -> None:
        self.parts = list(shuffled_parts(logs, rows))

    def read_in_parts(self, day: date) -> Iterator[DayOfLogs]:
        yield from self.parts


def shuffled_parts(logs: DayOfLogs, rows: int) -> Iterator[DayOfLogs]:
    candidates, events = (frame.sample(fraction=1, shuffle=True, seed=1) for frame in logs)
    for start in range(0, max(candidates.height, events.height, 1), rows):
        yield DayOfLogs(candidates.slice(start, rows), events.slice(start, rows))


def shards_of(logs: DayOfLogs, shards: int, rows: int = ROWS) -> list[DayOfLogs]:
    with TemporaryDirectory() as folder:
        return list(by_shard(shuffled_parts(logs, rows), shards, Path(folder)))


@pytest.mark.parametrize("kind", ["shop", "ads"])
def test_a_shard_is_the_whole_days_rows_of_it_in_the_contracts_order(kind: str, request: pytest.FixtureRequest) -> None:
    logs = make_logs(request.getfixturevalue(kind), DAY)
    shards = shards_of(logs, 3)
    for number, shard in enumerate(shards):
        assert shard.candidate_log.height > 0
        for whole, part in zip(logs, shard, strict=True):
            assert_frame_equal(part, whole.filter(shard_of(whole["request_id"], 3) == number))
    assert_frame_equal(whole_day(shards).candidate_log, logs.candidate_log)
    assert_frame_equal(shards_of(logs, 1)[0].event_log, logs.event_log)


def test_there_are_as_many_shards_as_asked_for_also_without_rows(shop: Cascade) -> None:
    logs = make_logs(shop, DAY, requests=1)
    shards = shards_of(logs, 4)
    assert sorted(shard.candidate_log.height for shard in shards) == [0, 0, 0, 12]
    nothing = shards_of(DayOfLogs(logs.candidate_log.clear(), logs.event_log.clear()), 2)
    assert [shard.candidate_log.schema for shard in nothing] == [logs.candidate_log.schema] * 2
    assert [shard.event_log.shape for shard in nothing] == [(0, 5)] * 2


identifier = st.none() | st.integers(0, 3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(identifier, identifier), max_size=12))
def test_rows_are_sorted_only_where_they_are_not_and_those_that_tie_stay_as_they_came(rows: list[tuple]) -> None:
    frame = pl.DataFrame(rows, schema={"request_id": pl.Int64, "candidate_id": pl.Int64}, orient="row")
    frame = frame.with_row_index()
    expected = sorted(frame.rows(), key=lambda row: [(value is not None, value or 0) for value in row[1:]])
    assert in_order(frame, CANDIDATE_ORDER).rows() == expected


def verdicts(cascade: Cascade, logs: DayOfLogs) -> list[GateResult]:
    """Of logs that are judged in memory as a whole."""
    candidates, events = in_order(logs.candidate_log, CANDIDATE_ORDER), in_order(logs.event_log, EVENT_ORDER)
    return [
        *judge_candidate_log(cascade, DAY, candidates),
        volume(cascade, candidates.height, [480]),
        *judge_event_log(cascade, DAY, events, candidates),
    ]


def in_candidates(plant: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[DayOfLogs], DayOfLogs]:
    return lambda logs: logs._replace(candidate_log=plant(logs.candidate_log))


def in_events(plant: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[DayOfLogs], DayOfLogs]:
    return lambda logs: logs._replace(event_log=plant(logs.event_log))


def lose_the_late_stage(log: pl.DataFrame) -> pl.DataFrame:
    lost = pl.col("request_id").is_in(log["request_id"].unique(maintain_order=True)[:9].to_list())
    for column in ("ranking_click_prediction", "ranking_conversion_prediction"):
        log = where(lost, column, None)(log)
    return log


def moved(column: str, **by: float) -> Callable[[pl.DataFrame], pl.DataFrame]:
    return lambda log: log.with_columns(pl.when(every(7)).then(pl.col(column) + timedelta(**by)).otherwise(column))


first_of_request = pl.int_range(pl.len()).over("request_id") == 0
OF_COLUMNS: dict[str, Callable[[DayOfLogs], DayOfLogs]] = {
    f"{number} {column}": in_candidates(plant) for number, (plant, _, column, _) in enumerate(ADS_FAULTS)
}
FAULTS: dict[str, Callable[[DayOfLogs], DayOfLogs]] = {
    "none": lambda logs: logs,
    **OF_COLUMNS,
    "no rows": lambda logs: DayOfLogs(logs.candidate_log.clear(), logs.event_log.clear()),
    "no events": lambda logs: DayOfLogs(logs.candidate_log, logs.event_log.clear()),
    "few rows": lambda logs: DayOfLogs(logs.candidate_log[:24], logs.event_log.clear()),
    "unknown stage": in_candidates(where(every(50), "deepest_stage", "basement")),
    "repeated keys": in_candidates(lambda log: pl.concat([log, log.filter(every(30)), log.filter(every(30))])),
    "varying feature": in_candidates(where(first_of_request, "country", 99)),
    "null request": in_candidates(where(every(30), "request_id", None)),
    "null candidate": in_candidates(where(every(30), "candidate_id", None)),
    "outside the day": in_candidates(moved("requested_at", days=1)),
    "late stage lost": in_candidates(lose_the_late_stage),
    "missing column": in_candidates(lambda log: log.drop("bid")),
    "missing request": in_candidates(lambda log: log.drop("request_id")),
    "wrong type": in_candidates(lambda log: log.cast({"ad": pl.Int32})),
    "stray events": in_events(where(every(11), "candidate_id", 999_999)),
    "unknown event": in_events(where(every(11), "event", "teleport")),
    "null event": in_events(where(every(11), "event", None)),
    "null time": in_events(where(every(11), "occurred_at", None)),
    "NaN value": in_events(where(every(11), "value", float("nan"))),
    "early events": in_events(moved("occurred_at", hours=-1)),
    "missing event column": in_events(lambda log: log.drop("value")),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_day_in_shuffled_parts_and_shards_is_judged_like_the_whole(ads: Cascade, fault: str) -> None:
    logs = FAULTS[fault](make_logs(ads, DAY))
    whole = verdicts(ads, logs)
    assert all(result.passed for result in whole) == (fault in ("none", "no events"))
    # Most of 50 shards are empty, which is no matter of a column.
    for shards in (1, 4) if fault in OF_COLUMNS else (1, 4, 50):
        judged = read_and_judge(InParts(logs), ads, DAY, [480], shards=shards)
        assert judged.results == whole
        assert judged.rows == {"candidate_log": logs.candidate_log.height, "event_log": logs.event_log.height}


def write_spread(logs: DayOfLogs, root: Path) -> None:
    """Rows in turn to one of three files, so that every request is in each."""
    for log, frame in logs._asdict().items():
        for part in range(3):
            write(frame.gather_every(3, part), f"{root}/{log}/day={DAY}/part-{part}.parquet")


@pytest.mark.parametrize("rows", [7, 50, 10_000])
def test_requests_spread_over_files_and_slices_come_together(
    shop: Cascade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    logs = make_logs(shop, DAY, requests=20)
    write_spread(logs, tmp_path)
    source = ParquetReader(declared(shop, str(tmp_path)))
    monkeypatch.setattr(parquet, "ROWS_AT_ONCE", rows)
    slices = [frame.height for part in source.read_in_parts(DAY) for frame in part if frame.height]
    assert sum(slices) == sum(len(frame) for frame in logs)
    assert max(slices) == min(rows, 80)
    shards: list[DayOfLogs] = []
    judged = read_and_judge(source, shop, DAY, [240], shards.append, shards=4)
    assert all(result.passed for result in judged.results)
    assert all(shard.candidate_log.height % 12 == 0 for shard in shards)
    for together, whole in zip(whole_day(shards), logs, strict=True):
        assert_frame_equal(together, whole)
    assert_frame_equal(source.read(DAY).event_log, logs.event_log)


def test_files_of_bad_rows_are_named_alike_whatever_the_slices_and_shards(
    shop: Cascade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = make_logs(shop, DAY)
    bad = where(every(40), "price", float("nan"))(where(every(50), "deepest_stage", "cellar")(logs.candidate_log))
    stray = where(every(9), "candidate_id", "nobody")(logs.event_log)
    write_spread(DayOfLogs(pl.concat([bad, bad.head(2)]), stray), tmp_path)
    source = ParquetReader(declared(shop, str(tmp_path)))
    whole = read_and_judge(source, shop, DAY, [])
    assert sum("part-" in result.message for result in whole.results) == 3
    monkeypatch.setattr(parquet, "ROWS_AT_ONCE", 25)
    assert read_and_judge(source, shop, DAY, [], shards=5) == whole


@pytest.mark.parametrize("log", ["candidate_log", "event_log"])
@pytest.mark.parametrize("how", ["cut off", "missing column", "wrong type"])
def test_a_fault_in_the_last_file_is_told_alike_and_nothing_is_kept(
    shop: Cascade, tmp_path: Path, log: str, how: str
) -> None:
    write_day(make_logs(shop, DAY), str(tmp_path))
    file = tmp_path / log / f"day={DAY}" / "part-2.parquet"
    good = pl.read_parquet(file.with_name("part-0.parquet"), hive_partitioning=False)
    changed = {
        "cut off": good,
        "missing column": good.drop("request_id"),
        "wrong type": good.with_columns(request_id=pl.lit(True)),
    }
    write(changed[how], str(file))
    if how == "cut off":
        file.write_bytes(file.read_bytes()[:-50])
    source = ParquetReader(declared(shop, str(tmp_path)))
    kept: list[object] = []
    judged = [read_and_judge(source, shop, DAY, [], kept.append, shards) for shards in (1, 4)]
    assert judged[0] == judged[1]
    assert judged[0].rows == {}
    assert not kept
    assert sum(f"{log}/day={DAY}/part-2.parquet" in result.message for result in judged[0].results) == 1
