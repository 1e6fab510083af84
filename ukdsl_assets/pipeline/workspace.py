"""What every step needs of the place it works in: settings, lake, checkpoints and SQL models; opened once a process."""

from dataclasses import dataclass

from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.lake.tables.reading import Table as Table
from ukdsl_assets.settings import Settings, shipped
from ukdsl_assets.sql.model import SqlModel, read_models


@dataclass(frozen=True)
class Workspace:
    """The thin layer between the steps and what they read and write; `models` are the SQL models by name."""

    settings: Settings
    lake: Lake
    checkpoints: CheckpointStore
    models: dict[str, SqlModel]

    @classmethod
    def open(cls, settings: Settings) -> "Workspace":
        """Raises SqlModelError if a file of dbt_like_sql or of UKDSL_SQL is wrong. Touches neither lake nor logs."""
        lake = Lake(settings.tables, settings.shards)
        models = read_models(shipped("dbt_like_sql"), settings.sql)
        return cls(settings, lake, CheckpointStore(settings.checkpoints), models)
