"""One cascade on one day: what every step of the pipeline starts from."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.lake.tables.lake import Lake, PublishedPartition
from ukdsl_assets.lake.tables.reading import ShardReader
from ukdsl_assets.logs.source import LogSource
from ukdsl_assets.logs.sources.open import open_source
from ukdsl_assets.pipeline.workspace import Table, Workspace
from ukdsl_assets.settings import TRAILING_DAYS, Settings


@dataclass(frozen=True)
class Day:
    """A workspace bound to a cascade and one of its days (UTC); nothing is read until it is asked for."""

    workspace: Workspace
    cascade: Cascade
    date: dt.date

    @property
    def settings(self) -> Settings:
        return self.workspace.settings

    @property
    def lake(self) -> Lake:
        return self.workspace.lake

    @property
    def checkpoints(self) -> CheckpointStore:
        return self.workspace.checkpoints

    def on(self, other: dt.date) -> "Day":
        """The same cascade on another day."""
        return replace(self, date=other)

    def table(self, *names: str) -> Table:
        """Key of one of the cascade's tables or models, such as (cascade, student, "evaluation")."""
        return (self.cascade.name, *names)

    def source(self, log: Callable[[str], None], as_of: dt.datetime | None = None) -> LogSource:
        """The cascade's logs; `log` gets a line of progress now and then; `as_of` replaces the settings' clock."""
        settings = self.settings if as_of is None else self.settings.model_copy(update={"as_of": as_of})
        return open_source(self.cascade, settings, f"{settings.simulated_state}/{self.cascade.name}", log)

    def partition(self, table: Table) -> PublishedPartition:
        """What is published for the day; its files, version and data version belong together.

        Raises:
            LakeError: when nothing is.
        """
        published = self.lake.partition(table, self.date)
        if published is None:
            raise LakeError(
                f"{'/'.join(table)} has no day {self.date} below {self.settings.lake}. Make it first: ukdsl run "
                f"{table[0]} --days {self.date}"
            )
        return published

    def versions(self, *tables: Table) -> dict[str, str]:
        """Data versions of the day's partitions, for the record of what was made from them."""
        return {"/".join(table): self.partition(table).data_version for table in tables}

    def shard_readers(self, *tables: Table) -> list[tuple[ShardReader, ...]]:
        """What scans the day of some tables, shard by shard: the k-th of each, which hold the same requests.

        Where the tables have not equally many, the day as a whole is all there is. Files are fixed now, and hashed
        where they are read.

        Raises:
            LakeError: when a table has not the day.
        """
        readers = [self.lake.shard_readers(table, [self.date]) for table in tables]
        if len({len(each) for each in readers}) > 1:
            readers = [[partial(_whole, each)] for each in readers]
        return list(zip(*readers, strict=True))

    def window(self, table: Table, days: int) -> list[dt.date]:
        """The published days among the `days` that end with this one, which must be published itself.

        Raises:
            LakeError: when this day is not, or one was and the table's log has lost it.
        """
        self.partition(table)
        published = set(self.lake.partitions(table))
        window = [self.date - dt.timedelta(days=back) for back in range(days - 1, -1, -1)]
        self.lake.refuse_lost(table, [each for each in window if each not in published])
        return [each for each in window if each in published]

    def newest_before(self, table: Table) -> dt.date | None:
        """The newest published day before this one; None where there is none."""
        return max((each for each in self.lake.partitions(table) if each < self.date), default=None)

    def trailing(self, table: Table) -> list[dt.date]:
        """The newest seven published days before this one, which drift is judged against."""
        return [each for each in self.lake.partitions(table) if each < self.date][-TRAILING_DAYS:]


def _whole(readers: Sequence[ShardReader]) -> pl.LazyFrame:
    return pl.concat([read() for read in readers])
