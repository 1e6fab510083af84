"""Where things are and how many cores to use: UKDSL_* of the environment or of the current folder's `.env`."""

import os
from pathlib import Path
from typing import Literal

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import AwareDatetime, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

# How many published days before a day its volume and label rates are compared with.
TRAILING_DAYS = 7
# Long steps tell how far they are this often: rare enough for a log, often enough to wait for.
PROGRESS_EVERY_SECONDS = 5.0
_PACKAGE = Path(__file__).resolve().parent
# The clone; where the package was installed from a wheel, nothing of it is there.
PROJECT = _PACKAGE.parent
IN_CLONE = (PROJECT / "dbt_like_sql").is_dir()
# Of the current folder, as for Dagster's own commands; the environment goes before it.
ENV_FILE = Path(".env")
PREFIX = "UKDSL_"


def shipped(name: str) -> Path:
    """Where a file or folder of a clone's top is, such as `dbt_like_sql`: there, or inside the installed package.

    pyproject.toml names those that a wheel holds.
    """
    return (PROJECT if IN_CLONE else _PACKAGE) / name


def project_environment() -> dict[str, str | None]:
    """What the current folder's `.env` says, names of settings in capitals; UnicodeDecodeError if it is no UTF-8."""
    said = dotenv_values(ENV_FILE)
    return {name.upper() if name.upper().startswith(PREFIX) else name: value for name, value in said.items()}


def wrong_lines() -> list[tuple[int, str]]:
    """Lines of the current folder's `.env` that say nothing, and their numbers from 1: no value, or half quoted."""
    if not ENV_FILE.is_file():
        return []
    with ENV_FILE.open(encoding="utf-8") as file:
        said = list(parse_stream(file))
    return [
        (each.original.line, each.original.string.strip())
        for each in said
        if each.error or (each.key is not None and each.value is None)
    ]


def project_folder() -> Path:
    """The folder whose lake and Dagster home are used where nothing else is said.

    The current folder where its `.env` sets something of UKDSL_*, or where the package was installed; else the clone.
    """
    own = any(name.startswith(PREFIX) for name in project_environment())
    return Path.cwd() if own or not IN_CLONE else PROJECT


def project_file(name: str) -> Path:
    """The project's own `dagster.yaml` or `workspace.yaml`, or the shipped one where it has none."""
    own = project_folder() / name
    return own if own.is_file() else shipped(name)


def load_environment() -> None:
    """Put what `.env` says beside UKDSL_*, such as keys of an object store, into the environment, unless it is there.

    Dagster's own commands do so too. `Settings` reads UKDSL_* itself.
    """
    for name, value in project_environment().items():
        if value is not None and not name.startswith(PREFIX):
            os.environ.setdefault(name, value)


def _lake() -> str:
    """Relative in a project, so that a command that names it works in the project's folder."""
    return str(PROJECT / "lake") if project_folder() == PROJECT else "lake"


def _kuairand() -> Path:
    return (PROJECT.parent / "shared" / "data" if IN_CLONE else Path()) / "kuairand_pure"


class Settings(BaseSettings):
    """Read once when the definitions are built; every field can be set as UKDSL_<FIELD>.

    The environment goes before `.env` of the current folder; relative paths count from that folder.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="ignore", env_file=ENV_FILE, env_file_encoding="utf-8", env_ignore_empty=True
    )

    lake: str = Field(
        default_factory=_lake,
        min_length=1,
        description="Folder or fsspec URI that holds tables and checkpoints; `lake` of the project or clone.",
    )
    cascades: Path | None = Field(None, description="Folder of your own cascade YAML files, beside the shipped ones.")
    examples: str = Field(
        "auto",
        description="Shipped cascades in the graph beside your own: all, none, or names with commas between them, of "
        "which `theory` and `evidence` are two; auto: simulated_ads where UKDSL_CASCADES is not set, else none. "
        "Commands find every one.",
    )
    sql: Path | None = Field(
        None,
        description="Folder of your own SQL models; a file of a shipped one's name replaces it, others are new tables.",
    )
    scale: Literal["small", "default", "large"] = Field("default", description="Size of simulated days.")
    kuairand: Path = Field(default_factory=_kuairand, description="Folder of the KuaiRand-Pure logs.")
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
    engine: str = Field(
        "local",
        description="Where the shards of a step are worked on: local (this process), processes or processes:N of this "
        "machine, auto (the Ray cluster that the run is in) or ray://host:10001.",
    )
    steps: str = Field(
        default_factory=lambda: str(min(os.cpu_count() or 1, 2)),
        pattern=r"^(processes:)?[1-9][0-9]{0,2}$",
        description="How many steps of a run are made at once: N, in threads of the run's process (more than two gain "
        "little; 1 where the engine is not local), or processes:N, each in a process of its own, which is for days of "
        "hours and for runs from the UI or a schedule. 1: one after the other.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where networks are trained.")

    @property
    def steps_in_threads(self) -> int:
        """Steps at once in a run's own process. Engines of processes or a cluster fill the cores by themselves, and a
        thread that waits for them cannot be interrupted."""
        return int(self.steps) if self.steps.isdecimal() and self.engine == "local" else 1

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
