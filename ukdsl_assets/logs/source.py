"""What a source of logs must do."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Protocol, runtime_checkable

import polars as pl

from ukdsl_assets.logs.contract import DayOfLogs, LogName


class LogSource(Protocol):
    """Reads one UTC day of logs in the contract's columns and types."""

    def read_in_parts(self, day: date) -> Iterator[DayOfLogs]:
        """The rows of a day in parts, at least one, so that no more than a part need be in memory.

        Rows may come in any order, and those of a request in several parts; a part may have rows of one log alone.

        Raises (while it is iterated): SourceError where logs are missing or unreadable, ContractError where they do
        not conform.
        """
        ...


@runtime_checkable
class OrderedSource(LogSource, Protocol):
    """A source whose parts can be judged and written one by one."""

    def read_in_order(self, day: date) -> Iterator[DayOfLogs]:
        """As `read_in_parts`, but for the order: a part holds whole requests, of both logs.

        Both logs are in the contract's order, in a part and from part to part.
        """
        ...


@runtime_checkable
class FileSource(LogSource, Protocol):
    """A source whose rows come from a user's files, which messages should name."""

    def locate(self, log: LogName, day: date, keys: pl.DataFrame) -> Mapping[tuple[Any, ...], Sequence[str]]:
        """The files that hold rows of each key (a row of `keys`, whose columns are the contract's)."""
        ...


@runtime_checkable
class DividedSource(LogSource, Protocol):
    """A source of which several processes can each read a part of a day; it is pickled on its way to them."""

    @property
    def local(self) -> bool:
        """Whether its files are of this machine, so that no other reaches them."""
        ...

    def parts(self, log: LogName, day: date) -> Sequence[Any]:
        """What to give `read_part`, small and picklable; together the rows of one log as `read_in_parts` gives them.

        Raises: as `read_in_parts`, what is wrong with a log as a whole. Parts that cannot be read are among the others.
        """
        ...

    def read_part(self, part: Any) -> Iterator[DayOfLogs]:
        """The rows of a part; raises as `read_in_parts`, in the same words."""
        ...


@runtime_checkable
class WatchedSource(LogSource, Protocol):
    """A source that tells whether a day's logs are still those that were read, without reading them."""

    def fingerprint(self, log: LogName, day: date) -> str:
        """Changes when a file of the day is added, removed or written again; empty where the day has no files."""
        ...
