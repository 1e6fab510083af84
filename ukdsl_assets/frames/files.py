"""Which files of a folder hold rows: one rule for a day of logs and for candidates to score; nothing is opened.

Nothing is left out in silence: a file is read, or is of a known writer, or is named with why it cannot be read.
"""

from typing import NamedTuple

from fsspec import AbstractFileSystem

# Endings of Parquet files, in any case.
PARQUET_ENDINGS = (".parquet", ".parq", ".pq")
# Folders below the folder itself: by hour, by minute, by writer. A link to a folder above would go on for ever.
MOST_FOLDERS = 4
# Of so many files that are not read a message names each.
_NAMED = 5


class FoundFiles(NamedTuple):
    """Paths of the files to read, in order of their paths, and a line about each that is neither read nor known."""

    read: list[str]
    refused: list[str]

    @property
    def refusal(self) -> str:
        """What cannot be read and what to do, for a message; empty where all is well."""
        if not self.refused:
            return ""
        more = f"; and {len(self.refused) - _NAMED:,} more" if len(self.refused) > _NAMED else ""
        return (
            f"{len(self.refused):,} file(s) that would not be read: {'; '.join(self.refused[:_NAMED])}{more}; expected "
            f"Parquet files whose names end in {', '.join(PARQUET_ENDINGS)}; rename or move them, or begin the name "
            "with `_` to leave a file out"
        )


def files_of_rows(files: AbstractFileSystem, folder: str) -> FoundFiles:
    """The Parquet files of a folder and of the folders in it, whatever these are called (`hour=01`, `00`).

    Names that begin with `.` or `_`, `*.crc` and `*_$folder$` are their writers' own (`_SUCCESS`, `_temporary/`,
    `.part-1.parquet`): neither they nor what is in such a folder is rows. Links are followed.

    Args:
        files: where the folder is; its names are paths, never patterns.
        folder: a folder that is there.

    Returns:
        Both lists are empty for a folder without files.
    """
    found = FoundFiles([], [])
    _look(files, folder.rstrip("/"), "", found)
    return FoundFiles(sorted(found.read), sorted(found.refused))


def of_a_writer(name: str) -> bool:
    """Whether a file or folder of this name is a writer's own, which no one reads as rows."""
    return name.startswith((".", "_")) or name.endswith((".crc", "_$folder$"))


def shown(name: str) -> str:
    """A name as it can be printed: bytes that are not UTF-8, which Parquet's readers take in no name, as \\udcXX."""
    return name.encode(errors="backslashreplace").decode()


def _look(files: AbstractFileSystem, folder: str, below: str, found: FoundFiles) -> None:
    for entry in files.ls(folder, detail=True):
        path = entry["name"].rstrip("/")
        name = path.rsplit("/", 1)[-1]
        # Some stores list the mark of a folder among what is in it.
        if path == folder or of_a_writer(name):
            continue
        kind = entry["type"]
        if kind not in ("file", "directory"):
            # A local link; what is neither behind it would hang or cannot be opened.
            kind = "directory" if files.isdir(path) else "file" if files.isfile(path) else kind
        place = f"{below}{shown(name)}"
        if shown(name) != name:
            found.refused.append(f"{place} (its name is not UTF-8)")
        elif kind == "directory":
            if place.count("/") < MOST_FOLDERS:
                _look(files, path, f"{place}/", found)
            else:
                found.refused.append(f"{place}/ (more than {MOST_FOLDERS} folders deep, or a link to a folder above)")
        elif kind != "file":
            found.refused.append(f"{place} (a pipe, a device, or a link to nothing)")
        elif name.lower().endswith(PARQUET_ENDINGS):
            found.read.append(path)
        else:
            found.refused.append(place)
