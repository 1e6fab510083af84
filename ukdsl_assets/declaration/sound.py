"""All declarations that can be run, and what is wrong with the others: one wrong file stops no other cascade."""

from pathlib import Path

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.cross_domain import check_cross_domain
from ukdsl_assets.declaration.read import SHIPPED, read_cascades
from ukdsl_assets.errors import DeclarationError


def sound_cascades(folder: Path | None) -> tuple[dict[str, Cascade], list[DeclarationError]]:
    """The shipped cascades and those of a folder (None: no folder) by name, and an error for each that is left out.

    Of two files with one name both are left out, since nobody can know which is meant; and with a cascade those whose
    teachers come from it.

    Raises:
        DeclarationError: the folder is missing.
    """
    wrong: list[DeclarationError] = []
    cascades = read_cascades(SHIPPED, folder, wrong=wrong)
    while True:
        unsound: dict[str, DeclarationError] = {}
        for name, cascade in cascades.items():
            try:
                check_cross_domain(cascades, [cascade])
            except DeclarationError as error:
                unsound[name] = error
        if not unsound:
            return cascades, wrong
        wrong += unsound.values()
        cascades = {name: cascade for name, cascade in cascades.items() if name not in unsound}
