"""Declarations that are left out of the graph, each as an asset that nothing materializes and that says why."""

import logging
from collections.abc import Sequence

import dagster as dg

from ukdsl_assets.errors import DeclarationError

GROUP = "0_wrong_declarations"
LOGGER = logging.getLogger(__name__)


def wrong_declarations(errors: Sequence[DeclarationError]) -> list[dg.AssetSpec]:
    """One external asset an error, `wrong_declarations/NUMBER`; the error is its description and a line of the log."""
    for error in errors:
        LOGGER.error("left out: %s", error)
    return [
        dg.AssetSpec(
            key=dg.AssetKey(["wrong_declarations", str(number)]),
            group_name=GROUP,
            owners=["team:ranking"],
            kinds={"yaml"},
            description=f"A cascade is left out until its declaration is mended:\n\n```\n{error}\n```",
        )
        for number, error in enumerate(errors, start=1)
    ]
