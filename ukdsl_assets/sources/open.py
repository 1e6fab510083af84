"""From a declaration to the source that reads its logs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Protocol, runtime_checkable

import polars as pl

from ukdsl_assets.cascade import Cascade
from ukdsl_assets.settings import Settings
from ukdsl_assets.sources.contract import DayOfLogs, LogName


class Source(Protocol):
    """Reads one UTC day of logs in the contract's columns and types."""

    def read_in_parts(self, day: date) -> Iterator[DayOfLogs]:
        """The rows of a day in parts, at least one, so that no more than a part need be in memory.

        Rows may come in any order, and those of a request in several parts; a part may have rows of one log alone.

        Raises (while it is iterated): SourceError where logs are missing or unreadable, ContractError where they do
        not conform.
        """
        ...


@runtime_checkable
class FileSource(Source, Protocol):
    """A source whose rows come from a user's files, which messages should name."""

    def locate(self, log: LogName, day: date, keys: pl.DataFrame) -> Mapping[tuple[Any, ...], Sequence[str]]:
        """The files that hold rows of each key (a row of `keys`, whose columns are the contract's)."""
        ...


# A simulated day's logs are read at that time of the next day, when the schedule runs.
CLOCK = timedelta(days=1, hours=5)


def known_until(cascade: Cascade, settings: Settings, day: date) -> datetime:
    """The moment (UTC) until which a reading of the day's event log knows what happened.

    UKDSL_AS_OF where it is set, else 05:00 of the next day for simulated logs, and now for all others.
    """
    if settings.as_of is not None:
        return settings.as_of.astimezone(UTC)
    if cascade.source.kind in ("simulated", "simulated_item_page"):
        return datetime.combine(day, time(), tzinfo=UTC) + CLOCK
    return datetime.now(UTC)


def open_source(cascade: Cascade, settings: Settings, state_folder: str, tell: Callable[[str], None]) -> Source:
    """The source that a cascade declares.

    Args:
        state_folder: where a simulated cascade keeps its production models from day to day.
        tell: gets a line of progress when a day takes long to make.
    """
    match cascade.source.kind:
        case "simulated":
            from ukdsl_assets.sources.simulated import SimulatedSource

            def progress(what: str, done: int, total: int) -> None:
                tell(f"{what}: {done} of {total}")

            return SimulatedSource(cascade, state_folder, settings.scale, progress, settings.as_of)
        case "simulated_item_page":
            from ukdsl_assets.sources.simulated_item_page import SimulatedItemPageSource

            return SimulatedItemPageSource(cascade, settings.scale, settings.as_of)
        case "parquet":
            from ukdsl_assets.sources.parquet import ParquetSource

            return ParquetSource(cascade)
        case "kuairand":
            from ukdsl_assets.sources.kuairand import KuaiRandSource

            return KuaiRandSource(cascade, settings.kuairand)
