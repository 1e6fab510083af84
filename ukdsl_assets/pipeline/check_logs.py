"""Days of logs judged as the graph would judge them, without writing anything."""

from collections.abc import Iterator, Sequence
from datetime import date

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.gates import blocking
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.logs.gates.day import Judged, read_and_judge
from ukdsl_assets.logs.source import LogSource
from ukdsl_assets.settings import TRAILING_DAYS


def judged_days(lake: Lake, cascade: Cascade, source: LogSource, days: Sequence[date]) -> Iterator[tuple[date, Judged]]:
    """Verdicts on each of the days, in order; one day is read at a time.

    A day's volume is compared with the days before it: those that are published, and in place of those that are not
    the ones that were judged here and kept the contract, as if they had been published.
    """
    table = (cascade.name, "candidate_log")
    published = lake.partitions(table)
    here: dict[date, int] = {}
    for day in days:
        before = sorted(each for each in {*published, *here} if each < day)[-TRAILING_DAYS:]
        rows = here | lake.row_counts(table, [each for each in before if each in published])
        judged = read_and_judge(source, cascade, day, [rows[each] for each in before], shards=lake.shards)
        if not blocking(judged.results):
            here[day] = judged.rows["candidate_log"]
        yield day, judged
