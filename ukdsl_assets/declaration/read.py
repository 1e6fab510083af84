"""Reads declarations from YAML files."""

from pathlib import Path

from pydantic import ValidationError

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.files import SHIPPED as SHIPPED
from ukdsl_assets.declaration.files import with_extended, yaml_files
from ukdsl_assets.declaration.wrong_keys import wrong_keys
from ukdsl_assets.errors import DeclarationError


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
    files = with_extended(path)
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
        for path in yaml_files(folder):
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
