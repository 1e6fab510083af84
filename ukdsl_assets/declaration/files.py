"""Which files declare cascades and what they say, before anybody has checked it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ukdsl_assets.declaration.yaml_text import read_yaml
from ukdsl_assets.errors import DeclarationError

SHIPPED = Path(__file__).parents[1] / "cascades"


def yaml_files(folder: Path) -> Iterator[Path]:
    """Every `*.yaml` and `*.yml` of a folder, in any case, by name; hidden files are skipped.

    Raises:
        DeclarationError: the folder is missing.
    """
    if not folder.is_dir():
        raise DeclarationError(f"{folder}: no such folder of cascade declarations; set UKDSL_CASCADES to one")
    for path in sorted(folder.iterdir()):
        # Editors lock and keep copies under hidden names.
        if path.suffix.lower() in (".yaml", ".yml") and not path.name.startswith("."):
            yield path


def with_extended(path: Path, above: tuple[Path, ...] = ()) -> list[tuple[Path, dict[str, Any]]]:
    """The keys of a file, then those of the file that it extends and so on; whole keys, nothing is merged.

    Raises:
        DeclarationError: a file cannot be read, is no mapping, or leads back to itself.
    """
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise DeclarationError(f"{path}: expected a mapping of keys such as `name` and `stages`, saw {content!r:.80}")
    if (extended := content.pop("extends", None)) is None:
        return [(path, content)]
    if not isinstance(extended, str) or "\0" in extended:
        raise DeclarationError(f"{path}: extends: expected the name of a file beside it, saw {extended!r:.80}")
    other = path.parent / extended
    if os.path.realpath(other) in map(os.path.realpath, (path, *above)):
        raise DeclarationError(f"{path}: extends: `{extended}` leads back to itself; expected another file")
    return [(path, content), *with_extended(other, (path, *above))]
