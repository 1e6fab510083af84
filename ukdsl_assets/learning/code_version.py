"""Which code trains: what a kept state was trained by must be what goes on with it."""

from functools import cache
from hashlib import sha256
from pathlib import Path


@cache
def code_version() -> str:
    """Hash of this package's source files, 16 hexadecimal digits; read once a process."""
    folder = Path(__file__).parent
    digest = sha256()
    for path in sorted(folder.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()} {len(content)} ".encode())
        digest.update(content)
    return digest.hexdigest()[:16]
