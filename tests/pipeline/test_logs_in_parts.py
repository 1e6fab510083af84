"""A source whose parts are in order is judged and written part by part: all is as of the whole day."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.fixtures.graph import small
from tests.fixtures.logs import make_logs
from tests.fixtures.shop import DAY, FAULTS, declare
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.errors import SourceError
from ukdsl_assets.gates import GateResult
from ukdsl_assets.lake.tables.lake import StagedPartition
from ukdsl_assets.logs.by_shard import whole_day
from ukdsl_assets.logs.clock import known_until
from ukdsl_assets.logs.contract import DayOfLogs
from ukdsl_assets.logs.gates.day import Judged
from ukdsl_assets.logs.source import LogSource
from ukdsl_assets.logs.sources import simulated_ads
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.logs import judge_and_stage
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

pytestmark = pytest.mark.slow
NIGHT = datetime.fromisoformat("2026-03-02T05:00:00+00:00")
# Requests of a part.
FEW = 25


@dataclass
class Whole:
    """Logs in memory as a source that promises no order."""

    logs: DayOfLogs
    error: SourceError | None = None

    def read_in_parts(self, day: date) -> Iterator[DayOfLogs]:
        """All in one part."""
        yield self.logs
        if self.error is not None:
            raise self.error


class InParts(Whole):
    """The same as a source that does."""

    def read_in_order(self, day: date) -> Iterator[DayOfLogs]:
        """Some requests after the other."""
        ids = self.logs.candidate_log["request_id"].unique().sort()
        logs = whole_day([self.logs])
        for start in range(0, max(len(ids), 1), FEW):
            some = ids[start : start + FEW].implode()
            yield DayOfLogs(*(log.filter(pl.col("request_id").is_in(some)) for log in logs))
        if self.error is not None:
            raise self.error


def staged(
    folder: Path, cascade: Cascade, source: LogSource, as_of: datetime | None = None
) -> tuple[Judged, list[StagedPartition]]:
    workspace = Workspace.open(Settings(lake=str(folder), threads=1, as_of=as_of))
    return judge_and_stage(Day(workspace, cascade, DAY), source, [720], as_of or NIGHT)


def told(results: list[GateResult]) -> list[tuple[str, bool, str]]:
    return [(result.name, result.passed, result.message) for result in results]


@pytest.mark.parametrize("cut", [False, True])
def test_what_is_published_and_said_is_that_of_the_whole_day(tmp_path: Path, cut: bool) -> None:
    cascade = declare(tmp_path)
    logs = make_logs(cascade, DAY, requests=60)
    as_of = logs.event_log["occurred_at"].sort()[100] if cut else None
    judged, found = staged(tmp_path / "parts", cascade, InParts(logs), as_of)
    expected, of_whole = staged(tmp_path / "whole", cascade, Whole(logs), as_of)
    assert [part.data_version for part in found] == [part.data_version for part in of_whole]
    assert [part.rows for part in found] == [720, 100 if cut else logs.event_log.height]
    assert told(judged.results) == told(expected.results)
    assert judged.rows == expected.rows


@pytest.mark.parametrize("fault", FAULTS)
def test_a_refused_day_is_told_alike_and_leaves_no_file(tmp_path: Path, fault: str) -> None:
    cascade = declare(tmp_path)
    logs = FAULTS[fault][0](make_logs(cascade, DAY, requests=60))
    judged, found = staged(tmp_path / "parts", cascade, InParts(logs))
    expected, _ = staged(tmp_path / "whole", cascade, Whole(logs))
    assert told(judged.results) == told(expected.results)
    assert found == []
    assert not [path for path in (tmp_path / "parts").rglob("*") if path.is_file()]


def test_logs_that_end_in_an_error_are_told_in_its_words_and_leave_no_file(tmp_path: Path) -> None:
    cascade = declare(tmp_path)
    error = SourceError("the last file is gone")
    judged, found = staged(tmp_path / "parts", cascade, InParts(make_logs(cascade, DAY, requests=60), error))
    assert judged.unread == "the last file is gone"
    assert found == []
    assert not [path for path in (tmp_path / "parts").rglob("*") if path.is_file()]


def test_a_simulated_day_is_the_same_in_parts_and_as_a_whole(
    tmp_path: Path, warm_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cascade = read_cascade(SHIPPED / "simulated_ads.yaml")
    versions = []
    for name, rows in (("parts", 40_000), ("whole", 1 << 18)):
        settings = small(tmp_path / name, warm_state)
        day = Day(Workspace.open(settings), cascade, cascade.first_day + timedelta(1))
        monkeypatch.setattr(simulated_ads, "ROWS_AT_ONCE", rows)
        source = day.source(print)
        if name == "whole":
            source = Whole(next(iter(source.read_in_parts(day.date))))
        judged, found = judge_and_stage(day, source, [], known_until(cascade, settings, day.date))
        assert all(result.passed for result in judged.results)
        versions.append([part.data_version for part in found])
    assert versions[0] == versions[1]
