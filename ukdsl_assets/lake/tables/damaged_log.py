"""Which file of a Delta table's log keeps it from being opened: Delta's own errors are of its inside and name none."""

import json
from pathlib import Path

from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.storage import Storage
from ukdsl_assets.lake.tables.publications import LOG


def unreadable(storage: Storage, table: tuple[str, ...], error: Exception, version: int | None = None) -> LakeError:
    """What to say of a table that cannot be opened: the file, what is wrong with it, and what to do.

    Args:
        error: what Delta said.
        version: that was asked for, None for the newest.
    """
    where = f"{'/'.join(table)}{'' if version is None else f', version {version}'}"
    wrong = _wrong(storage, table)
    if wrong is None:
        first_line = str(error).partition("\n")[0]
        return LakeError(
            f"{where}: {storage.uri(*table)} cannot be read: {first_line:.300}. Expected a Delta table with this "
            "version; `history` lists those of a day. Check the address and the credentials."
        )
    days = sorted(path.rstrip("/").rpartition("=")[2] for path in storage.glob(storage.path(*table, "day=*")))
    again = f"ukdsl run {table[0]} --days {days[0]}..{days[-1]}" if days else f"ukdsl run {table[0]}"
    return LakeError(
        f"{where}: {wrong}, and the table cannot be opened without it. Nothing was read or published. Put it back as "
        f"it was, or remove {storage.uri(*table)} and make its days again: {again}"
    )


def _wrong(storage: Storage, table: tuple[str, ...]) -> str | None:
    """The first file of the log that is missing or damaged, in words; None where all of it can be read.

    Commits before the newest checkpoint are not needed.
    """
    commits = {int(Path(path).stem): path for path in storage.glob(storage.path(*table, LOG, f"{'[0-9]' * 20}.json"))}
    checkpoints = storage.glob(storage.path(*table, LOG, f"{'[0-9]' * 20}.checkpoint*.parquet"))
    first = max((int(Path(path).name[:20]) for path in checkpoints), default=-1) + 1
    for version in range(first, max(commits, default=-1) + 1):
        if version not in commits:
            return f"{storage.uri(*table, LOG)}/{version:020d}.json is missing"
        path, lines = f"{storage.uri(*table, LOG)}/{version:020d}.json", storage.read(commits[version]) or b""
        try:
            actions = [json.loads(line) for line in lines.splitlines()]
        except ValueError as error:
            return f"{path} is damaged ({error})"
        if not actions or not all(isinstance(action, dict) for action in actions):
            return f"{path} is damaged (it holds {lines!r:.40}, expected a JSON object a line)"
    for path in checkpoints[-1:]:
        content = storage.read(path) or b""
        if content[:4] != b"PAR1" or content[-4:] != b"PAR1":
            return f"{storage.uri(*table, LOG)}/{Path(path).name} is no whole Parquet file"
    return None
