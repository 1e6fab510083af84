"""Which code trains: what a kept state was trained by must be what goes on with it."""

from functools import cache
from hashlib import sha256
from pathlib import Path

# What a training's bytes follow from: which features there are, how rows are split and filled, and what learns.
ROOMS = ("declaration", "frames", "learning")


@cache
def code_version() -> str:
    """Hash of the source files that a training depends on, 16 hexadecimal digits; read once a process."""
    return version_of(Path(__file__).parents[1])


def version_of(package: Path) -> str:
    """Hash of the names and contents of all .py files below the package's `ROOMS`, 16 hexadecimal digits.

    Args:
        package: folder that holds the rooms.

    Raises:
        FileNotFoundError: a room is not there, so that a hash of less than all never passes for one.
    """
    digest = sha256()
    for room in ROOMS:
        folder = (package / room).resolve(strict=True)
        for path in sorted(folder.rglob("*.py")):
            content = path.read_bytes()
            digest.update(f"{room}/{path.relative_to(folder).as_posix()} {len(content)} ".encode())
            digest.update(content)
    return digest.hexdigest()[:16]
