"""From a declaration to the source that reads its logs."""

from collections.abc import Callable

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.logs.source import LogSource
from ukdsl_assets.settings import Settings


def open_source(cascade: Cascade, settings: Settings, state_folder: str, log: Callable[[str], None]) -> LogSource:
    """The source that a cascade declares.

    Args:
        state_folder: where a simulated cascade keeps its production models from day to day.
        log: gets a line of progress when a day takes long to make.
    """
    match cascade.source.kind:
        case "simulated":
            from ukdsl_assets.logs.sources.simulated_ads import SimulatedAdsReader

            def progress(what: str, done: int, total: int) -> None:
                log(f"{what}: {done} of {total}")

            return SimulatedAdsReader(cascade, state_folder, settings.scale, progress, settings.as_of)
        case "simulated_item_page":
            from ukdsl_assets.logs.sources.simulated_item_page import SimulatedItemPageReader

            return SimulatedItemPageReader(cascade, settings.scale, settings.as_of)
        case "parquet":
            from ukdsl_assets.logs.sources.parquet import ParquetReader

            return ParquetReader(cascade)
        case "kuairand":
            from ukdsl_assets.logs.sources.kuairand import KuaiRandReader

            return KuaiRandReader(cascade, settings.kuairand)
