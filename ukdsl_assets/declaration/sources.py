"""Where a cascade's logs come from: `source: {kind: parquet, path: ...}`; readers are in `logs/sources/`."""

import re
from datetime import timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from ukdsl_assets.declaration.block import AnyDuration, Declared, Duration, Name, Seed

_OFFSET = re.compile(r"[+-](0\d|1[0-4]):[0-5]\d")


def _known_time_zone(value: str) -> str:
    if not _OFFSET.fullmatch(value):
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("expected the name of a time zone, such as Europe/Berlin or UTC, or +HH:MM") from None
    return value


TimeZone = Annotated[str, AfterValidator(_known_time_zone)]


class SimulatedSurface(Declared):
    """Another surface of a simulated world: the same users and ads, requests and tastes of its own."""

    name: Name
    """Seeds what is its own."""
    traffic: float = Field(1.0, ge=1e-4, le=1)
    """Requests, as a share of the scale's."""
    click_shift: float = Field(0.0, ge=-20, le=20)
    """Added to the logit of every click."""
    difference: float = Field(0.0, ge=0, le=1)
    """Share of the variance of the pairwise, placement and category effects that is this surface's own."""
    columns: dict[Name, Name] = Field({})
    """Column here: the world's feature, where the names differ."""


class SimulatedSource(Declared):
    """The simulated ads world."""

    kind: Literal["simulated"]
    """Three stages of an ads cascade."""
    seed: Seed = 0
    """Chooses the world."""
    probe_rate: float = Field(0.0, ge=0, le=1)
    """Share of the candidates that a stage rejects which the next one scores all the same; with `has_probes`."""
    surface: SimulatedSurface | None = None
    """Another surface than the world's main one."""


class SimulatedItemPageSource(Declared):
    """The simulated item page, whose candidates are modules of recommendations."""

    kind: Literal["simulated_item_page"]
    """Modules of recommendations below an item."""
    seed: Seed = 0
    """Chooses the world."""
    personalisation: float = Field(1.0, ge=0, le=4)
    """How far what users want differs from page to page; at 0 one order is best for all."""


class ParquetSource(Declared):
    """A user's own folder: candidate_log/day=YYYY-MM-DD/*.parquet and event_log/day=YYYY-MM-DD/*.parquet."""

    kind: Literal["parquet"]
    """Files of your own."""
    path: str
    """Local folder, if relative then to the declaration's file, or fsspec URI such as s3://my-bucket/logs."""
    columns: dict[str, str] = Field({})
    """Column of the contract: column in the files, where the names differ."""
    time_zone: TimeZone | None = None
    """In which times without a zone are: a name such as Europe/Berlin, or +05:30. Left out, such times are refused."""
    clock_tolerance: AnyDuration = Field(timedelta(0), ge=timedelta(0), le=timedelta(hours=1))
    """How long before its request an event may be, where clocks differ; it then counts as of the request's moment."""


class KuaiRandSource(Declared):
    """KuaiRand-Pure's logged impressions with seeded, drawn unshown candidates (semi-real)."""

    kind: Literal["kuairand"]
    """KuaiRand-Pure, from your own copy (UKDSL_KUAIRAND)."""
    seed: Seed = 0
    """Chooses the unshown candidates."""
    tabs: Annotated[tuple[int, ...], Field(min_length=1)] | None = None
    """Scenarios whose impressions are the log, histories included; all 15 if left out."""
    candidates_per_impression: int = Field(8, ge=1, le=10_000)
    """Unshown candidates drawn per shown one."""
    session_gap: Duration = timedelta(minutes=30)
    """A longer pause of a user in a tab starts a new request."""


Source = Annotated[
    SimulatedSource | SimulatedItemPageSource | ParquetSource | KuaiRandSource, Field(discriminator="kind")
]
