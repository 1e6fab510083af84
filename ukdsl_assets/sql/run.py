"""Runs a rendered model over its inputs' live Parquet files, in an in-memory DuckDB, and judges what came out."""

import atexit
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import count
from threading import Lock
from typing import Any

import duckdb
from fsspec import filesystem
from fsspec.utils import get_protocol
from sqlglot import exp

from ukdsl_assets.errors import SqlModelError
from ukdsl_assets.lake.tables.staging import removed_on_error
from ukdsl_assets.sql.render import RenderedModel

# The query is a model's text; the values that it binds, and the path, stay parameters.
COPY = "copy (\n<query>\n) to $output_file (format parquet, compression zstd, compression_level 1)"
_RUNS = count()
_REGISTERING = Lock()
# (shard, shards) -> path of the file to write.
NewFile = Callable[[int, int], str]


def run_sharded(
    rendered: RenderedModel,
    inputs: Mapping[str, Sequence[str]],
    parameters: Mapping[str, Any],
    new_file: NewFile,
    threads: int,
) -> list[str]:
    """Run a model shard by shard where it allows that and its inputs have equally many shards, else once for all.

    Args:
        inputs: upstream table -> files of one day, in the order of their shards.
        new_file: gives the path of each output file.

    Returns:
        The files written, in the order of their shards. Errors as in `run_model`; then no file stays.
    """
    written: list[str] = []
    parts = shards_of(rendered, inputs)
    with removed_on_error(written):
        for shard, part in enumerate(parts):
            written.append(new_file(shard, len(parts)))
            run_model(rendered, part, parameters, written[-1], threads)
    return written


def shards_of(rendered: RenderedModel, inputs: Mapping[str, Sequence[str]]) -> list[dict[str, Sequence[str]]]:
    """What each run of a model reads: a shard's files where the model allows that and inputs have equally many.

    Args:
        inputs: upstream table -> files of one day, in the order of their shards.
    """
    counts = {len(files) for files in inputs.values()}
    if not rendered.model.shard_key or len(counts) != 1:
        return [dict(inputs)]
    return [{table: [files[shard]] for table, files in inputs.items()} for shard in range(counts.pop())]


def run_model(
    rendered: RenderedModel,
    inputs: Mapping[str, Sequence[str]],
    parameters: Mapping[str, Any],
    output: str,
    threads: int,
) -> None:
    """Write the query's rows, in its order, to one Parquet file.

    Args:
        inputs: upstream table -> its Parquet files, at least one each.
        parameters: values to bind; those that the query does not name are left out.
        output: path of the file to write.

    Raises:
        SqlModelError: for an input or a parameter that is not given, or what DuckDB says against the query.
    """
    model = rendered.model
    for table in rendered.depends_on:
        if not inputs.get(table):
            raise SqlModelError(f"{model.path}: `{model.name}` reads `{table}`, of which there is no file")
    missing = [name for name in rendered.parameters if name not in parameters]
    if missing:
        known = ", ".join(parameters)
        raise SqlModelError(f"{model.path}: `{model.name}` binds unknown ${missing[0]}; expected one of {known}")
    try:
        with schema_of_its_own(threads) as connection:
            for protocol in {get_protocol(file) for files in inputs.values() for file in files} - {"file"}:
                read_through_fsspec(connection, protocol)
            for table in rendered.depends_on:
                # DuckDB's relations read a file's footer once more than a statement does.
                name = exp.to_identifier(table, quoted=True).sql("duckdb")
                files = exp.convert(list(inputs[table])).sql("duckdb")
                connection.execute(f"create view {name} as from read_parquet({files}, hive_partitioning=false)")
            bound = {name: parameters[name] for name in rendered.parameters}
            connection.execute(COPY.replace("<query>", rendered.sql), {**bound, "output_file": output})
    except duckdb.Error as error:
        files = ", ".join(f"{table}: {inputs[table][0]}" for table in rendered.depends_on)
        raise SqlModelError(f"{model.path}: `{model.name}` failed on {files}: {error}") from error


@contextmanager
def schema_of_its_own(threads: int) -> "Iterator[duckdb.DuckDBPyConnection]":
    """A connection whose views no other run sees, to the database in memory that runs of this process share.

    A database for each run would cost it 20 ms of CPU (issue 16), and as many threads again.
    """
    schema = f"run_{next(_RUNS)}"
    try:
        with database(threads).cursor() as connection:
            connection.execute(f"create schema {schema}").execute(f"use {schema}")
            yield connection
            connection.execute("use main").execute(f"drop schema {schema} cascade")
    except BaseException:
        # Some errors leave a database that takes no further query, a stop leaves the views: the next run has a new one.
        database.cache_clear()
        raise


@cache
def database(threads: int) -> "duckdb.DuckDBPyConnection":
    """The process's database for this many threads, with nothing in it."""
    # What of DuckDB is there when the interpreter ends is called a leak on the terminal: an open database, and types in
    # annotations, which are quoted here.
    atexit.register(database.cache_clear)
    return duckdb.connect(config={"threads": threads, "preserve_insertion_order": True})


def read_through_fsspec(connection: "duckdb.DuckDBPyConnection", protocol: str) -> None:
    """Let a database read an object store's files; DuckDB's own extension would have to be downloaded."""
    store = filesystem(protocol)
    # Known under the first of its names alone: `s3a` is registered as `s3`.
    name = store.protocol if isinstance(store.protocol, str) else store.protocol[0]
    with _REGISTERING:
        if not connection.filesystem_is_registered(name):
            connection.register_filesystem(store)
