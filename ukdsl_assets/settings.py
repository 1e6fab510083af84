"""Where things are and how many cores to use: environment variables UKDSL_*, with defaults for a fresh clone."""

import os
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

# How many published days before a day its volume and label rates are compared with.
TRAILING_DAYS = 7
# Long steps tell how far they are this often: rare enough for a log, often enough to wait for.
PROGRESS_EVERY_SECONDS = 5.0
PROJECT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Read once when the definitions are built; every field can be set as UKDSL_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix="UKDSL_", extra="ignore")

    lake: str = Field(
        str(PROJECT / "lake"), min_length=1, description="Folder or fsspec URI that holds tables and checkpoints."
    )
    cascades: Path | None = Field(None, description="Folder of your own cascade YAML files, beside the shipped ones.")
    sql: Path = Field(PROJECT / "dbt_like_sql", description="Folder of the SQL models.")
    scale: Literal["small", "default", "large"] = Field("default", description="Size of simulated days.")
    kuairand: Path = Field(
        PROJECT.parent / "shared" / "data" / "kuairand_pure", description="Folder of the KuaiRand-Pure logs."
    )
    as_of: AwareDatetime | None = Field(
        None,
        description="Clock (UTC) up to which event logs are read; else 05:00 after each simulated day, now for others.",
    )
    shards: int = Field(
        1,
        ge=1,
        le=4096,
        description="Parquet shards (by hash of request_id) of each partition; batches are drawn shard by shard, so "
        "another number trains as another seed would.",
    )
    threads: int = Field(os.cpu_count() or 1, ge=1, description="Threads of DuckDB and LightGBM.")
    training_threads: int = Field(
        1, ge=1, description="Threads of a student's training and scoring; networks are small, a second gains little."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where networks are trained.")

    @property
    def tables(self) -> str:
        """Root of the Delta tables; apart from checkpoints, since a vacuum removes what no table knows."""
        return f"{self.lake}/tables"

    @property
    def checkpoints(self) -> str:
        """Root of the checkpoint store."""
        return f"{self.lake}/checkpoints"

    @property
    def simulated_state(self) -> str:
        """Where simulated cascades keep their production models."""
        return f"{self.lake}/simulated_state"
