"""What of the shipped cascades the graph shows: those that are chosen and whose data is there."""

import logging

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.examples import examples_chosen, is_shipped, with_their_teachers
from ukdsl_assets.settings import Settings

GROUP = "0_missing_data"
LOGGER = logging.getLogger(__name__)


def shown_cascades(settings: Settings, cascades: dict[str, Cascade]) -> tuple[dict[str, Cascade], list[dg.AssetSpec]]:
    """The user's own cascades, the chosen examples and what teaches either; and one asset that tells what is left out.

    Raises:
        DeclarationError: UKDSL_EXAMPLES names what is not shipped.
    """
    own = {name for name, cascade in cascades.items() if not is_shipped(cascade)}
    chosen = examples_chosen(settings.examples, settings.cascades) & set(cascades)
    without = {name for name in chosen if cascades[name].source.kind == "kuairand"}
    missing = _missing_kuairand(settings) if without else ""
    if not missing:
        return with_their_teachers(cascades, own | chosen), []
    LOGGER.warning("left out: %s. %s", ", ".join(sorted(without)), missing)
    return with_their_teachers(cascades, own | chosen - without), [
        dg.AssetSpec(
            key=dg.AssetKey(["missing_data", "kuairand"]),
            group_name=GROUP,
            owners=["team:ranking"],
            kinds={"csv"},
            description=f"Left out until their data is there: {', '.join(sorted(without))}.\n\n```\n{missing}\n```",
        )
    ]


def _missing_kuairand(settings: Settings) -> str:
    from ukdsl_assets.logs.sources.kuairand import absent_files

    return absent_files(settings.kuairand)
