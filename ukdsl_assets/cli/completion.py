"""What a shell offers where a command takes the name of a cascade or of a student: read from the files as they stand,
since whoever types waits for it."""

from collections.abc import Iterator
from typing import Any

import typer


def cascade_names(incomplete: str) -> list[tuple[str, str]]:
    """Names of declared cascades that begin so, each with the first line of its description; never raises."""
    return [
        (name, str(keys.get("description", "")).strip().partition("\n")[0])
        for name, keys in _declared()
        if name.startswith(incomplete)
    ]


def student_names(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Names of the students of the cascade that stands before, or of all, each with what it predicts; never raises."""
    before = context.params.get("cascade")
    return [
        (str(student["name"]), f"{student.get('stage')}: {student.get('task')}")
        for cascade, keys in _declared()
        if before in (None, cascade)
        for student in keys.get("students") or ()
        if isinstance(student, dict) and str(student.get("name", "")).startswith(incomplete)
    ]


def _declared() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and keys of each declaration that can be read."""
    from ukdsl_assets.declaration.files import SHIPPED, with_extended, yaml_files
    from ukdsl_assets.errors import UkdslError
    from ukdsl_assets.settings import Settings

    try:
        folders = [folder for folder in (Settings().cascades, SHIPPED) if folder is not None]
        paths = [path for folder in folders for path in yaml_files(folder)]
    except (UkdslError, ValueError, OSError):
        return  # Nobody who presses Tab wants to read what is wrong.
    for path in paths:
        try:
            keys = {key: value for _, each in reversed(with_extended(path)) for key, value in each.items()}
        except (UkdslError, OSError):
            continue
        if isinstance(name := keys.get("name"), str):
            yield name, keys
