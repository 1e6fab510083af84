"""Reads declarations from YAML files."""

import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.wrong_keys import wrong_keys
from ukdsl_assets.declaration.yaml_text import read_yaml
from ukdsl_assets.errors import DeclarationError

SHIPPED = Path(__file__).parents[1] / "cascades"


def read_cascade(path: Path | str) -> Cascade:
    """Read and check one YAML declaration; `extends: OTHER.yaml` (beside it) gives the keys that it leaves out.

    Raises:
        DeclarationError: names the file, each wrong key, what was seen and what was expected.

    Example, a declaration that is shipped:

        >>> from pathlib import Path
        >>> import ukdsl_assets
        >>> shipped = Path(ukdsl_assets.__file__).parent / "cascades"
        >>> cascade = ukdsl_assets.read_cascade(shipped / "simulated_ads.yaml")
        >>> [stage.name for stage in cascade.stages]
        ['retrieval', 'pre_ranking', 'ranking']
        >>> cascade.student("pre_ranking_click").teacher
        'ranking_logged'
    """
    path = Path(path)
    files = _files(path)
    content = {key: value for _, each in reversed(files) for key, value in each.items()}
    try:
        return Cascade.model_validate({**content, "origin": str(path)})
    except ValidationError as error:
        lines = []
        for key, line in wrong_keys(Cascade, content, error):
            file = next((file for file, each in files if key in each), path)
            lines.append(f"  {line}" + (f" (in {file})" if file != path else ""))
        raise DeclarationError(f"{path}: {len(lines)} wrong key(s)\n" + "\n".join(lines)) from None


def read_cascades(*folders: Path | None, wrong: list[DeclarationError] | None = None) -> dict[str, Cascade]:
    """Every `*.yaml` and `*.yml` of the folders, in any case, by cascade name; None and hidden files are skipped.

    Args:
        wrong: gets the error of each wrong file, and of files that declare the same name, which are left out; None:
            the first such error is raised.

    Raises:
        DeclarationError: for a missing folder, or as above.
    """
    found: dict[str, list[Cascade]] = {}
    errors: list[DeclarationError] = []
    for folder in folders:
        if folder is None:
            continue
        if not folder.is_dir():
            raise DeclarationError(f"{folder}: no such folder of cascade declarations; set UKDSL_CASCADES to one")
        for path in sorted(folder.iterdir()):
            # Editors lock and keep copies under hidden names.
            if path.suffix.lower() not in (".yaml", ".yml") or path.name.startswith("."):
                continue
            try:
                cascade = read_cascade(path)
            except DeclarationError as error:
                errors.append(error)
            else:
                found.setdefault(cascade.name, []).append(cascade)
    for name, (first, *others) in found.items():
        errors += [
            DeclarationError(f"{other.origin}: `name: {name}` is taken by {first.origin}; choose another")
            for other in others
        ]
    if errors and wrong is None:
        raise errors[0]
    if wrong is not None:
        wrong += errors
    return {name: same[0] for name, same in found.items() if len(same) == 1}


def _files(path: Path, above: tuple[Path, ...] = ()) -> list[tuple[Path, dict[str, Any]]]:
    """The keys of a file, then those of the file that it extends and so on; whole keys, nothing is merged."""
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
    return [(path, content), *_files(other, (path, *above))]
