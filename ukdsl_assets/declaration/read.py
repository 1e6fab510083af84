"""Reads declarations from YAML files."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.wrong_keys import wrong_keys
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


def read_cascades(*folders: Path | None) -> dict[str, Cascade]:
    """Every `*.yaml` of the folders (None is skipped) by cascade name.

    Raises:
        DeclarationError: for a wrong file, a missing folder, or two files that declare the same name.
    """
    cascades: dict[str, Cascade] = {}
    for folder in folders:
        if folder is None:
            continue
        if not folder.is_dir():
            raise DeclarationError(f"{folder}: no such folder of cascade declarations; set UKDSL_CASCADES to one")
        for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
            cascade = read_cascade(path)
            if cascade.name in cascades:
                raise DeclarationError(
                    f"{path}: `name: {cascade.name}` is taken by {cascades[cascade.name].origin}; choose another"
                )
            cascades[cascade.name] = cascade
    return cascades


def _files(path: Path, above: tuple[Path, ...] = ()) -> list[tuple[Path, dict[str, Any]]]:
    """The keys of a file, then those of the file that it extends and so on; whole keys, nothing is merged."""
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise DeclarationError(f"{path}: not readable as YAML: {error}") from error
    if not isinstance(content, dict):
        raise DeclarationError(f"{path}: expected a mapping of keys such as `name` and `stages`, saw {content!r:.80}")
    if (extended := content.pop("extends", None)) is None:
        return [(path, content)]
    other = path.parent / str(extended)
    if other in (path, *above):
        raise DeclarationError(f"{path}: extends: `{extended}` leads back to itself; expected another file")
    return [(path, content), *_files(other, (path, *above))]
