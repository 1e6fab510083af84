"""A table at one version, whose log is read once for as long as it stays as it is."""

import datetime as dt
from dataclasses import dataclass
from functools import cached_property

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from ukdsl_assets.lake.storage import FileIdentity, Storage
from ukdsl_assets.lake.tables.commit import live_actions, paths_by_day
from ukdsl_assets.lake.tables.damaged_log import unreadable
from ukdsl_assets.lake.tables.publications import LOG
from ukdsl_assets.lake.tables.schema import to_polars


@dataclass(frozen=True)
class Snapshot:
    """What a version of a table's log says; whoever writes opens the table anew."""

    opened: DeltaTable

    @property
    def version(self) -> int:
        return self.opened.version()

    @cached_property
    def live(self) -> pl.DataFrame:
        """The files, as `live_actions` gives them.

        Raises:
            LakeError: as there.
        """
        return live_actions(self.opened)

    @cached_property
    def schema(self) -> pl.Schema:
        """Of the table, with `day`."""
        return to_polars(self.opened.schema())

    def of_day(self, day: dt.date) -> pl.DataFrame:
        """`live` of a day."""
        return self.live.filter(pl.col("day") == day)

    def paths(self, day: dt.date) -> list[str]:
        """Relative paths of the live files of a day, in the order of the shards."""
        return self._by_day.get(day, [])

    @cached_property
    def _by_day(self) -> dict[dt.date, list[str]]:
        return paths_by_day(self.live)


# Of a table, so many versions are kept at most.
MOST_VERSIONS = 32
# By table: what the folder of its log said before it was opened, and the versions that were opened since.
_seen: dict[str, tuple[dict[str, FileIdentity], dict[int | None, Snapshot]]] = {}


def snapshot_of(storage: Storage, table: tuple[str, ...], version: int | None = None) -> Snapshot | None:
    """The table as it is now, or at a version; None where there is no such table.

    The log is listed each time, and read when a file of it is new, gone or other than it was: who publishes, vacuums or
    mends it, in this process or elsewhere, is seen by the next call.

    Raises:
        LakeError: the log cannot be read; says which file of it, or that there is no such version.
    """
    uri = storage.uri(*table)
    # Before it is opened: what is committed in between is in both or looked at again.
    listed = storage.listing(*table, LOG)
    known = _seen.get(uri)
    if known is None or known[0] != listed:
        known = _seen[uri] = (listed, {})
    if version not in known[1]:
        if len(known[1]) >= MOST_VERSIONS:
            known[1].clear()
        try:
            known[1][version] = Snapshot(DeltaTable(uri, version=version))
        except TableNotFoundError:
            return None
        except DeltaError as error:
            raise unreadable(storage, table, error, version) from error
    return known[1][version]
