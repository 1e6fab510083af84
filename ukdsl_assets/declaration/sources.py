"""Where a cascade's logs come from: `source: {kind: parquet, path: ...}`; readers are in `logs/sources/`."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from ukdsl_assets.declaration.block import Declared, Duration, Name


class SimulatedSurface(Declared):
    """Another surface of a simulated world: the same users and ads, requests and tastes of its own.

    traffic: requests, as a share of the scale's.
    click_shift: added to the logit of every click.
    difference: share of the variance of the pairwise, placement and category effects that is this surface's own.
    columns: column here -> the world's feature, where the names differ.
    """

    name: Name
    traffic: float = Field(1.0, gt=0, le=1)
    click_shift: float = 0.0
    difference: float = Field(0.0, ge=0, le=1)
    columns: dict[Name, Name] = Field({})


class SimulatedSource(Declared):
    """The simulated ads world; `seed` chooses the world, `surface` another surface than its main one."""

    kind: Literal["simulated"]
    seed: int = Field(0, ge=0)
    surface: SimulatedSurface | None = None


class SimulatedItemPageSource(Declared):
    """The simulated item page, whose candidates are modules of recommendations; `seed` chooses the world."""

    kind: Literal["simulated_item_page"]
    seed: int = Field(0, ge=0)


class ParquetSource(Declared):
    """A user's own folder: candidate_log/day=YYYY-MM-DD/*.parquet and event_log/day=YYYY-MM-DD/*.parquet.

    path: local folder, if relative then to the declaration's file, or fsspec URI.
    columns: contract column -> column in the user's files, where the names differ.
    """

    kind: Literal["parquet"]
    path: str
    columns: dict[str, str] = Field({})


class KuaiRandSource(Declared):
    """KuaiRand-Pure's logged impressions with seeded, drawn unshown candidates (semi-real).

    candidates_per_impression: unshown candidates drawn per shown one.
    session_gap: a longer pause of a user in a tab starts a new request.
    tabs: scenarios whose impressions are the log, histories included; None for all 15.
    """

    kind: Literal["kuairand"]
    seed: int = Field(0, ge=0)
    tabs: Annotated[tuple[int, ...], Field(min_length=1)] | None = None
    candidates_per_impression: int = Field(8, ge=1)
    session_gap: Duration = timedelta(minutes=30)


Source = Annotated[
    SimulatedSource | SimulatedItemPageSource | ParquetSource | KuaiRandSource, Field(discriminator="kind")
]
