"""The one step that publishes a partition: a Delta commit that swaps its files."""

import json
import random
import time
from collections.abc import Iterable, Mapping
from datetime import date

import polars as pl
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, Transaction

from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.tables.damaged_log import unreadable
from ukdsl_assets.lake.tables.publications import Publications
from ukdsl_assets.lake.tables.schema import DAY, merged, to_delta, to_polars
from ukdsl_assets.lake.tables.staging import StagedFile, StagedPartition

ATTEMPTS = 24
_LONGEST_PAUSE = 2.0  # seconds


def live_actions(table: DeltaTable) -> pl.DataFrame:
    """The files of a table version, read from its log: columns day, path (relative), rows, bytes; by day and shard.

    Raises:
        LakeError: a file is in the folder of another day than the log says.
    """
    actions = pl.DataFrame(table.get_add_actions(flatten=True))
    files = actions.select(
        day=pl.col(f"partition.{DAY}").cast(pl.Date),
        path=pl.col("path"),
        rows=pl.col("num_records"),
        bytes=pl.col("size_bytes"),
    ).sort("day", "path")
    elsewhere = ~pl.col("path").str.starts_with(pl.format(f"{DAY}={{}}/", pl.col("day").dt.to_string("iso")))
    for day, path in files.filter(elsewhere.fill_null(True)).select("day", "path").head(1).iter_rows():
        raise LakeError(
            f"{table.table_uri}: its log says that {path} is of day {day}, expected the day of the file's folder: "
            "the log is damaged. Nothing was read. Put back the commit that names the file as it was, or remove the "
            "table's folder and make its days again with ukdsl run."
        )
    return files


def live_paths(table: DeltaTable, day: date) -> list[str]:
    """Relative paths of the live files of a day, in the order of the shards."""
    return live_actions(table).filter(pl.col("day") == day)["path"].to_list()


def paths_by_day(actions: pl.DataFrame, days: Iterable[date] | None = None) -> dict[date, list[str]]:
    """Of `live_actions`, the paths of each live day, or of those among `days`, in the order of the shards."""
    wanted = actions if days is None else actions.filter(pl.col("day").is_in(list(days)))
    return dict(wanted.group_by("day", maintain_order=True).agg("path").iter_rows())


def publish(uri: str, staged: StagedPartition, metadata: Mapping[str, str], records: Publications) -> int:
    """Swaps the day's files for the staged ones and gives the version of the table that did it.

    Only the commit is tried again when other writers are in the way, never the writing of files. Of two writers of
    the same day the later commit wins, whole, and settles the record of the earlier.

    Raises:
        LakeError: the columns do not fit the table, or no attempt got through.
    """
    where = f"{'/'.join(staged.table)}, day {staged.day}"
    failure: DeltaError | None = None
    for attempt in range(ATTEMPTS):
        time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.02 * 2**attempt)) if attempt else 0)
        try:
            return _commit_once(uri, staged, metadata, records, where)
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


def _commit_once(
    uri: str, staged: StagedPartition, metadata: Mapping[str, str], records: Publications, where: str
) -> int:
    recorded = records.of_day(staged.day)
    table = _open_or_create(uri, staged, records, where)
    live = live_paths(table, staged.day)
    if live == [file.path for file in staged.files]:
        return table.version()  # an earlier attempt got through although it reported an error
    schema = merged(staged.schema, to_polars(table.schema()), where)
    before = table.version()
    records.settle_before(staged.day, live, before, recorded)
    application = f"day={staged.day}"
    table.create_write_transaction(
        [add_action(file, {DAY: staged.day.isoformat()}) for file in staged.files],
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
        # The log is cleaned by `vacuum`, once what it alone holds is kept elsewhere.
        post_commithook_properties=PostCommitHookProperties(cleanup_expired_logs=False),
    )
    table.update_incremental()
    return _version_with(table, staged, before, where)


def _version_with(table: DeltaTable, staged: StagedPartition, before: int, where: str) -> int:
    """The version in which the staged files became the day's live files; others may have come between and after."""
    expected = [file.path for file in staged.files]
    for version in range(before + 1, table.version() + 1):
        if version != table.version():
            table.load_as_version(version)
        if live_paths(table, staged.day) == expected:
            return version
    raise LakeError(
        f"{where}: the commit went through, but the day's live files are {live_paths(table, staged.day)}, expected "
        f"{expected}. Read version {before}, and materialize the day again."
    )


def _open_or_create(uri: str, staged: StagedPartition, records: Publications, where: str) -> DeltaTable:
    try:
        return DeltaTable(uri)
    except DeltaError as error:
        if not isinstance(error, TableNotFoundError):
            raise unreadable(records.storage, staged.table, error) from error
        # `ignore`: another first writer may have been faster.
        return DeltaTable.create(uri, to_delta(staged.schema, where), mode="ignore", partition_by=[DAY])


def add_action(file: StagedFile, partition: Mapping[str, str]) -> AddAction:
    """What makes a file that was staged one of a table's, in the partition of these values."""
    return AddAction(
        path=file.path,
        size=file.bytes,
        partition_values=partition,
        modification_time=int(time.time() * 1000),
        data_change=True,
        stats=json.dumps({"numRecords": file.rows}),
    )
