"""Tables that are of no day: one Delta commit replaces all of their rows, and reading gives the newest ones."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

import polars as pl
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.storage import Storage, checked_key
from ukdsl_assets.lake.tables.schema import to_delta


@dataclass(frozen=True)
class PublishedTable:
    """A table without days: where it is, its version and rows; data_version is equal when the rows are."""

    uri: str
    version: int
    rows: int
    data_version: str


def publish_whole(
    root: str, table: tuple[str, ...], frame: pl.DataFrame, metadata: Mapping[str, str]
) -> PublishedTable:
    """Replace a table's rows and columns by the frame's, in one commit that keeps `metadata`; a reader sees either.

    Args:
        root: of the lake's tables, local or remote.

    Raises:
        LakeError: a dtype or column name that the lake cannot hold, or Delta refuses; what was there stays.
    """
    name, uri = "/".join(table), Storage(root).uri(*checked_key(table))
    to_delta(frame.schema, name)
    try:
        write_deltalake(
            uri,
            frame.rechunk(),
            mode="overwrite",
            schema_mode="overwrite",
            commit_properties=CommitProperties(custom_metadata={"metadata": json.dumps(dict(metadata))}),
        )
        version = DeltaTable(uri).version()
    except DeltaError as error:
        raise LakeError(f"{name}: Delta refused to replace {uri}: {error}. The old rows stay.") from error
    content = BytesIO()
    frame.rechunk().write_ipc(content)
    return PublishedTable(uri, version, frame.height, hashlib.sha256(content.getbuffer()).hexdigest()[:16])


def read_whole(root: str, table: tuple[str, ...]) -> pl.DataFrame:
    """The newest rows in the order in which they were published.

    Raises:
        LakeError: when there is no such table; the message says how to make it.
    """
    name, uri = "/".join(table), Storage(root).uri(*checked_key(table))
    try:
        files = DeltaTable(uri).file_uris()
    except TableNotFoundError:
        raise LakeError(f"there is no table {name} below {root}; materialize it: dg launch --assets {name}") from None
    return pl.read_parquet(files, glob=False)
