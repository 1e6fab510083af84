"""What every asset needs: the settings, the lake, the checkpoint store and the SQL models; built once a process."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.lake.tables.lake import Lake, PublishedPartition
from ukdsl_assets.logs.source import Source
from ukdsl_assets.logs.sources.open import open_source
from ukdsl_assets.settings import TRAILING_DAYS, Settings
from ukdsl_assets.sql.model import SqlModel, read_models

Table = tuple[str, ...]


@dataclass(frozen=True)
class Workspace:
    """The thin layer between assets and the core; `models` are the SQL models by name."""

    settings: Settings
    lake: Lake
    checkpoints: CheckpointStore
    models: dict[str, SqlModel]

    @classmethod
    def open(cls, settings: Settings) -> "Workspace":
        """Raises SqlModelError if a file of dbt_like_sql is wrong. Touches neither lake nor logs."""
        lake = Lake(settings.tables, settings.shards)
        return cls(settings, lake, CheckpointStore(settings.checkpoints), read_models(settings.sql))

    def source(self, cascade: Cascade, tell: Callable[[str], None], as_of: datetime | None = None) -> Source:
        """The cascade's logs; `tell` gets a line of progress now and then; `as_of` replaces the settings' clock."""
        settings = self.settings if as_of is None else self.settings.model_copy(update={"as_of": as_of})
        return open_source(cascade, settings, f"{settings.simulated_state}/{cascade.name}", tell)

    def partition(self, table: Table, day: date) -> PublishedPartition:
        """What is published for a day; its files, version and data version belong together.

        Raises:
            LakeError: when nothing is.
        """
        found = self.lake.partition(table, day)
        if found is None:
            raise LakeError(
                f"{'/'.join(table)} has no day {day} below {self.settings.lake}. Make it first: ukdsl run {table[0]} "
                f"--days {day}"
            )
        return found

    def versions(self, day: date, *tables: Table) -> dict[str, str]:
        """Data versions of published partitions, for the record of what was made from them."""
        return {"/".join(table): self.partition(table, day).data_version for table in tables}

    def shards(self, day: date, *tables: Table) -> list[tuple[pl.LazyFrame, ...]]:
        """A day of some tables, shard by shard: the k-th of each, which hold the same requests.

        Where the tables have not equally many, the day as a whole is all there is.

        Raises:
            LakeError: when a table has not the day.
        """
        scans = [self.lake.scan_shards(table, [day]) for table in tables]
        if len({len(each) for each in scans}) > 1:
            scans = [[pl.concat(each)] for each in scans]
        return list(zip(*scans, strict=True))

    def window(self, table: Table, day: date, days: int) -> list[date]:
        """The published days among the `days` that end with `day`, which must be published itself.

        Raises:
            LakeError: when `day` is not.
        """
        self.partition(table, day)
        published = set(self.lake.partitions(table))
        window = [day - timedelta(days=back) for back in range(days - 1, -1, -1)]
        return [each for each in window if each in published]

    def trailing(self, table: Table, day: date) -> list[date]:
        """The newest seven published days before `day`, which drift is judged against."""
        return [each for each in self.lake.partitions(table) if each < day][-TRAILING_DAYS:]
