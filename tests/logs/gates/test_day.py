"""What cannot be read fails the gates of its log, and what is wrong in a file is told with the file's name."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from tests.fixtures.log_files import DAY, declared, write, write_day
from tests.fixtures.logs import make_logs
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.gates import GateResult
from ukdsl_assets.logs.contract import DayOfLogs
from ukdsl_assets.logs.gates.day import judge_shards, read_and_judge
from ukdsl_assets.logs.source import FileSource
from ukdsl_assets.logs.sources.parquet import ParquetReader


class InMemory:
    """A source without files."""

    def __init__(self, logs: DayOfLogs) -> None:
        self.logs = logs

    def read_in_parts(self, day: date) -> Iterator[DayOfLogs]:
        yield self.logs


@pytest.fixture
def source(shop: Cascade, tmp_path: Path) -> ParquetReader:
    """Two good files of candidates, one of events."""
    write_day(make_logs(shop, DAY), str(tmp_path))
    return ParquetReader(declared(shop, str(tmp_path)))


def file_of(tmp_path: Path, log: str, part: int) -> Path:
    return tmp_path / log / f"day={DAY}" / f"part-{part}.parquet"


def names(results: list[GateResult]) -> list[str]:
    return [result.name for result in results]


def one(results: list[GateResult], gate: str) -> GateResult:
    return next(result for result in results if result.name == gate)


def test_a_good_day_is_kept_with_its_verdicts_and_no_file_is_looked_up(
    shop: Cascade, source: ParquetReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ParquetReader, "locate", lambda *_: pytest.fail("looked up"))
    kept: list[DayOfLogs] = []
    judged = read_and_judge(source, shop, DAY, [480], kept.append)
    whole = source.read(DAY)
    assert [logs.candidate_log.equals(whole.candidate_log) for logs in kept] == [True]
    assert judged.rows == {"candidate_log": 480, "event_log": whole.event_log.height}
    assert all(result.passed for result in judged.results)
    assert judged == judge_shards(shop, DAY, [whole], [480])


@pytest.mark.parametrize(("wrong", "other"), [("candidate_log", "event_log"), ("event_log", "candidate_log")])
@pytest.mark.parametrize("how", ["missing day", "no folder", "cut off", "missing column", "wrong type"])
def test_a_log_that_cannot_be_read_fails_its_contract_and_nothing_is_judged(
    shop: Cascade, source: ParquetReader, tmp_path: Path, wrong: str, other: str, how: str
) -> None:
    good = read_and_judge(source, shop, DAY, [])
    file = file_of(tmp_path, wrong, 0)
    match how:
        case "missing day":
            file.parent.rename(file.parent.with_name("day=2026-01-09"))
        case "no folder":
            file.parent.parent.rename(tmp_path / "elsewhere")
        case "cut off":
            file.write_bytes(file.read_bytes()[:100])
        case "missing column":
            write(pl.read_parquet(file).drop("request_id"), str(file))
        case "wrong type":
            write(pl.read_parquet(file).with_columns(request_id=pl.lit(True)), str(file))

    judged = read_and_judge(source, shop, DAY, [480])

    assert judged.rows == {}
    assert names(judged.results) == names(good.results)
    assert all(result.blocks for result in judged.results)
    results = {"candidate_log": judged.candidate_log, "event_log": judged.event_log}
    contract = one(results[wrong], "contract")
    assert f"{tmp_path}/{wrong}" in contract.message
    others = [result for result in judged.results if result is not contract]
    assert all(result.message.startswith(f"not judged: {wrong} could not be read") for result in others)
    assert judged.unread == contract.message
    if how == "missing day":
        told = (
            f"no {wrong.replace('_', ' ')} for {DAY} at {tmp_path}/{wrong}/day={DAY}; nearest days there: 2026-01-09;"
        )
        assert judged.unread.startswith(told)


def test_only_the_file_of_the_bad_rows_is_named(shop: Cascade, source: ParquetReader, tmp_path: Path) -> None:
    good, bad = file_of(tmp_path, "candidate_log", 0), file_of(tmp_path, "candidate_log", 1)
    write(pl.read_parquet(bad).with_columns(price=pl.lit(float("nan"), pl.Float32)), str(bad))
    judged = read_and_judge(source, shop, DAY, [])
    message = one(judged.candidate_log, "contract").message
    assert "380 of 480 rows" in message
    assert f" in file://{bad}; replace NaN" in message
    assert str(good) not in message
    assert all(result.passed for result in judged.results if result.name != "contract")


def test_each_rule_names_the_files_of_its_own_rows(shop: Cascade, source: ParquetReader, tmp_path: Path) -> None:
    first, second = (file_of(tmp_path, "candidate_log", part) for part in (0, 1))
    write(pl.read_parquet(first).with_columns(deepest_stage=pl.lit("cellar")), str(first))
    repeated = pl.read_parquet(second)
    write(pl.concat([repeated, repeated.head(1)]), str(second))
    candidates = read_and_judge(source, shop, DAY, []).candidate_log
    stage, keys = one(candidates, "contract").message, one(candidates, "keys_unique").message
    assert str(first) in stage
    assert str(second) not in stage
    assert str(second) in keys
    assert str(first) not in keys


def test_the_file_of_bad_events_is_named(shop: Cascade, source: ParquetReader, tmp_path: Path) -> None:
    bad = file_of(tmp_path, "event_log", 1)
    stray = pl.read_parquet(file_of(tmp_path, "event_log", 0)).head(2).with_columns(candidate_id=pl.lit("nobody"))
    write(stray, str(bad))
    events = read_and_judge(source, shop, DAY, []).event_log
    message = one(events, "events_have_candidates").message
    assert "2 of " in message
    assert f" in file://{bad}; " in message
    assert one(events, "contract").passed


def test_a_source_without_files_is_judged_alike(shop: Cascade) -> None:
    logs = make_logs(shop, DAY)
    broken = InMemory(logs._replace(candidate_log=logs.candidate_log.with_columns(shown=pl.lit(None, pl.Boolean))))
    assert not isinstance(broken, FileSource)
    message = one(read_and_judge(broken, shop, DAY, []).candidate_log, "contract").message
    assert "480 of 480 rows" in message
    assert "file://" not in message
