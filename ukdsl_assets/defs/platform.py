"""What every asset needs: the settings, the lake, the checkpoint store and the SQL models; built once a process."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from ukdsl_assets.cascade import Cascade
from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.checkpoints import CheckpointStore
from ukdsl_assets.lake.tables import Lake
from ukdsl_assets.settings import Settings
from ukdsl_assets.sources.open import Source, open_source
from ukdsl_assets.sql.model import SqlModel, read_models

TRAILING_DAYS = 7
Table = tuple[str, ...]


@dataclass(frozen=True)
class Platform:
    """The thin layer between assets and the core; `models` are the SQL models by name."""

    settings: Settings
    lake: Lake
    checkpoints: CheckpointStore
    models: dict[str, SqlModel]

    @classmethod
    def open(cls, settings: Settings) -> "Platform":
        """Raises SqlModelError if a file of dbt_like_sql is wrong. Touches neither lake nor logs."""
        lake = Lake(settings.tables, settings.shards)
        return cls(settings, lake, CheckpointStore(settings.checkpoints), read_models(settings.sql))

    def source(self, cascade: Cascade, tell: Callable[[str], None]) -> Source:
        """The cascade's logs; `tell` gets a line of progress now and then."""
        return open_source(cascade, self.settings, f"{self.settings.simulated_state}/{cascade.name}", tell)

    def live_files(self, table: Table, day: date) -> list[str]:
        """The partition's files, never none.

        Raises:
            LakeError: when the partition is not published.
        """
        files = self.lake.live_files(table, [day])
        if not files:
            raise LakeError(f"{'/'.join(table)} has no day {day} below {self.settings.lake}; materialize it first")
        return files

    def window(self, table: Table, day: date, days: int) -> list[date]:
        """The published days among the `days` that end with `day`."""
        published = set(self.lake.partitions(table))
        window = [day - timedelta(days=back) for back in range(days - 1, -1, -1)]
        return [each for each in window if each in published]

    def trailing(self, table: Table, day: date) -> list[date]:
        """The published days of the week before `day`, which drift is judged against."""
        return [each for each in self.window(table, day, TRAILING_DAYS + 1) if each != day]

    def versions(self, day: date, *tables: Table) -> dict[str, str]:
        """Data versions of the inputs' partitions, for the record of what was made from them."""
        found = {"/".join(table): self.lake.partition(table, day) for table in tables}
        return {name: partition.data_version for name, partition in found.items() if partition}
