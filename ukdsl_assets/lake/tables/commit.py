"""The one step that publishes a partition: a Delta commit that swaps its files."""

import json
import random
import time
from collections.abc import Mapping
from datetime import date

import polars as pl
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction, Transaction

from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.tables.schema import DAY, merged, to_delta, to_polars
from ukdsl_assets.lake.tables.staging import StagedPartition

ATTEMPTS = 24
_LONGEST_PAUSE = 2.0  # seconds


def live_actions(table: DeltaTable) -> pl.DataFrame:
    """The files of a table version, read from its log: columns day, path (relative), rows, bytes; by day and shard."""
    actions = pl.DataFrame(table.get_add_actions(flatten=True))
    return actions.select(
        day=pl.col(f"partition.{DAY}").cast(pl.Date),
        path=pl.col("path"),
        rows=pl.col("num_records"),
        bytes=pl.col("size_bytes"),
    ).sort("day", "path")


def live_paths(table: DeltaTable, day: date) -> list[str]:
    """Relative paths of the live files of a day, in the order of the shards."""
    return live_actions(table).filter(pl.col("day") == day)["path"].to_list()


def publish(uri: str, staged: StagedPartition, metadata: Mapping[str, str]) -> int:
    """Swaps the day's files for the staged ones and gives the version of the table that did it.

    Only the commit is tried again when other writers are in the way, never the writing of files. Of two writers of
    the same day the later commit wins, whole.

    Raises:
        LakeError: the columns do not fit the table, or no attempt got through.
    """
    where = f"{'/'.join(staged.table)}, day {staged.day}"
    failure: DeltaError | None = None
    for attempt in range(ATTEMPTS):
        time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.02 * 2**attempt)) if attempt else 0)
        try:
            return _commit_once(uri, staged, metadata, where)
        except CommitFailedError as error:
            failure = error
        except DeltaError as error:
            raise LakeError(
                f"{where}: Delta refused the commit to {uri}: {error}. The old partition stays. "
                "Check the address, the credentials and the table's log."
            ) from error
    raise LakeError(
        f"{where}: {ATTEMPTS} attempts to commit failed, the last with: {failure}. The old partition stays. "
        "Other writers of this table are in the way: run fewer at a time and materialize the day again."
    ) from failure


def _commit_once(uri: str, staged: StagedPartition, metadata: Mapping[str, str], where: str) -> int:
    table = _open_or_create(uri, staged, where)
    if live_paths(table, staged.day) == [file.path for file in staged.files]:
        return table.version()  # an earlier attempt got through although it reported an error
    schema = merged(staged.schema, to_polars(table.schema()), where)
    before = table.version()
    application = f"day={staged.day}"
    table.create_write_transaction(
        _add_actions(staged),
        mode="overwrite",
        schema=to_delta(schema, where),  # replaces the table's when columns were added
        partition_by=[DAY],
        partition_filters=[(DAY, "=", staged.day.isoformat())],
        commit_properties=CommitProperties(
            custom_metadata={
                "day": staged.day.isoformat(),
                "data_version": staged.data_version,
                "rows": staged.rows,
                "metadata": dict(metadata),
            },
            # Without it, two first writers of a day both succeed and its rows are there twice.
            app_transactions=[Transaction(application, (table.transaction_version(application) or 0) + 1)],
        ),
    )
    table.update_incremental()
    return _version_with(table, staged, before, where)


def _version_with(table: DeltaTable, staged: StagedPartition, before: int, where: str) -> int:
    """The version in which the staged files became the day's live files; others may have come between and after."""
    expected = [file.path for file in staged.files]
    for version in range(before + 1, table.version() + 1):
        table.load_as_version(version)
        if live_paths(table, staged.day) == expected:
            return version
    raise LakeError(
        f"{where}: the commit went through, but the day's live files are {live_paths(table, staged.day)}, expected "
        f"{expected}. Read version {before}, and materialize the day again."
    )


def _open_or_create(uri: str, staged: StagedPartition, where: str) -> DeltaTable:
    try:
        return DeltaTable(uri)
    except TableNotFoundError:
        # `ignore`: another first writer may have been faster.
        return DeltaTable.create(uri, to_delta(staged.schema, where), mode="ignore", partition_by=[DAY])


def _add_actions(staged: StagedPartition) -> list[AddAction | RemoveAction]:
    return [
        AddAction(
            path=file.path,
            size=file.bytes,
            partition_values={DAY: staged.day.isoformat()},
            modification_time=int(time.time() * 1000),
            data_change=True,
            stats=json.dumps({"numRecords": file.rows}),
        )
        for file in staged.files
    ]
