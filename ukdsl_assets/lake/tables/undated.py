"""Tables that are of no day: one Delta commit replaces all of their rows, and reading gives the newest ones."""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import polars as pl
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.storage import Storage, checked_key
from ukdsl_assets.lake.tables.commit import add_action
from ukdsl_assets.lake.tables.schema import to_delta_undated
from ukdsl_assets.lake.tables.staging import DIGEST, digest_in, place, removed_on_error
from ukdsl_assets.lake.tables.verified import verify


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
    storage, name = Storage(root), "/".join(table)
    uri, schema = storage.uri(*checked_key(table)), to_delta_undated(frame.schema, "/".join(table))
    folder = Path(storage.path(*table)) if storage.local else Path(tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    # Delta's own name for the files of a table without days, by which `vacuum` knows them.
    path = str(folder / f"part-{uuid4().hex}.parquet")
    with removed_on_error([path]):
        frame.rechunk().write_parquet(path, compression="zstd")
        file = place(storage, table, "", path, frame.height)
    try:
        opened = DeltaTable.create(uri, schema, mode="ignore")
        opened.create_write_transaction(
            [add_action(file, {})],
            mode="overwrite",
            schema=schema,
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
        LakeError: when there is no such table, or its file is gone or not what was published; the message says how
            to make it.
    """
    storage, name = Storage(root), "/".join(table)
    uri = storage.uri(*checked_key(table))
    make = f"dg launch --assets {name}"
    try:
        paths = pl.DataFrame(DeltaTable(uri).get_add_actions())["path"].to_list()
    except TableNotFoundError:
        raise LakeError(f"there is no table {name} below {root}; materialize it: {make}") from None
    except DeltaError as error:
        raise LakeError(f"{uri} cannot be read: {error}. Remove the folder and materialize it: {make}") from error
    # Files that Delta named, of before the lake wrote them itself, have no digest to be verified by.
    verify(storage, table, [(None, path) for path in paths if DIGEST.fullmatch(digest_in(path))], make)
    return pl.read_parquet([storage.uri(*table, path) for path in paths], glob=False)
