"""Published files are what was published: the digest in a file's name is that of its content, or nothing is read.

A flipped bit inside a Parquet page mostly decodes to other values without a word, and a file that was put in another's
place is read as if it were it. So a file is hashed before it is read for the first time in a process (a run is one),
and again when its size, time or, in a bucket, its tag has changed since.
"""

import datetime as dt
import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.storage import FileIdentity, Storage
from ukdsl_assets.lake.tables.staging import DIGEST, digest_in

_BLOCK = 1 << 20  # bytes that are hashed at a time
_AT_ONCE = 4  # files that are hashed at a time: hashing holds no lock, and a bucket answers many at once

# Path or URI of a file -> what its folder said of it when its content was last seen to be what its name says.
_seen: dict[str, FileIdentity] = {}


def verify(
    storage: Storage, table: tuple[str, ...], files: Iterable[tuple[dt.date | None, str]], make: str | None = None
) -> None:
    """Hash those of a table's files that this process has not hashed yet; one listing a day, memory of some megabytes.

    Args:
        files: (day, path relative to the table), those of a day side by side; None for a table without days.
        make: the command that makes the table again, for the message; None for that of the day.

    Raises:
        LakeError: a file is gone, cannot be read, or is not what was published.
    """
    fresh: list[tuple[dt.date | None, str, FileIdentity]] = []

    def refused(day: dt.date | None, path: str, seen: str) -> LakeError:
        where = "/".join(table) if day is None else f"{'/'.join(table)}, day {day}"
        return LakeError(
            f"{where}: the published file {storage.uri(*table, path)} {seen}. Nothing was read. Put the file back as "
            f"it was, or make it again: {make or f'ukdsl run {table[0]} --days {day}'}"
        )

    def check(each: tuple[dt.date | None, str, FileIdentity]) -> None:
        day, path, identity = each
        if wrong := _wrong(storage, storage.path(*table, path), digest_in(path)):
            raise refused(day, path, wrong)
        _seen[storage.uri(*table, path)] = identity

    for day, paths in groupby(files, key=lambda each: each[0]):
        there: dict[str, dict[str, FileIdentity]] = {}  # folder -> name -> what it says of the file
        for _, path in paths:
            folder, name = path.rpartition("/")[::2]
            if folder not in there:
                there[folder] = storage.listing(*table, *filter(None, [folder]))
            identity = there[folder].get(name)
            if identity is None:
                raise refused(day, path, "is gone")
            if _seen.get(storage.uri(*table, path)) != identity:
                fresh.append((day, path, identity))
    if len(fresh) == 1:
        check(fresh[0])
    elif fresh:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(check, fresh))


def _wrong(storage: Storage, path: str, expected: str) -> str | None:
    """What is wrong with a file that should hash to `expected`, in words; None where nothing is."""
    if not DIGEST.fullmatch(expected):
        return "was not published by this lake: its name holds no digest"
    digest = hashlib.sha256()
    try:
        with storage.fs.open(path, "rb", block_size=_BLOCK) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        return f"cannot be read ({error})"
    seen = digest.hexdigest()[: len(expected)]
    return None if seen == expected else f"hashes to {seen}, expected {expected}: it was damaged or replaced"
