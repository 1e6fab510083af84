"""What every step needs of the place it works in: settings, lake, checkpoints and SQL models; opened once a process."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ukdsl_assets.engines.engine import Engine, LocalEngine
from ukdsl_assets.engines.open import open_engine
from ukdsl_assets.errors import EngineError
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
        """Touches neither lake nor logs, and starts no worker.

        Raises:
            SqlModelError: a file of dbt_like_sql or of UKDSL_SQL is wrong; EngineError: as `engine`.
        """
        lake = Lake(settings.tables, settings.shards)
        models = read_models(shipped("dbt_like_sql"), settings.sql)
        opened = cls(settings, lake, CheckpointStore(settings.checkpoints), models)
        _ = opened.engine  # refused now, and not by a step that needs it
        return opened

    @cached_property
    def engine(self) -> Engine:
        """Works on the shards of a step; its workers start when it is first used and end with this process.

        Raises:
            EngineError: for a name that is none, and for workers on other machines beside a lake on this one.
        """
        engine = open_engine(self.settings.engine)
        if engine.remote and self.lake.local:
            raise EngineError(
                f"UKDSL_ENGINE={self.settings.engine} has workers on other machines, and UKDSL_LAKE={self.lake.root} "
                "is a folder of this one. Put the lake where every node reaches it, such as s3://bucket/lake, or set "
                "UKDSL_ENGINE=processes."
            )
        return engine

    def __getstate__(self) -> dict[str, Any]:
        # A worker works on its shard itself.
        return self.__dict__ | {"engine": LocalEngine()}
