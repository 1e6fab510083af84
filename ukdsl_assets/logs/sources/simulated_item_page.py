"""The simulated item page as a source of logs; the world is in `simulation/item_page.py`."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import KEYS
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.sources import SimulatedItemPageSource as Declaration
from ukdsl_assets.errors import SourceError
from ukdsl_assets.frames.casts import TIMESTAMP
from ukdsl_assets.frames.conform import conform
from ukdsl_assets.logs.clock import CLOCK
from ukdsl_assets.logs.contract import DayOfLogs, candidate_log_dtypes, event_log_dtypes

if TYPE_CHECKING:
    from ukdsl_assets.simulation.item_page import ItemPageWorld, PageViews, ServedPages

# request_id = day * this + the page view's number.
PAGES_A_DAY = 10_000_000
PURCHASE_VALUE = 1.0
FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        *(
            Feature(name=name, kind="categorical", side="request")
            for name in ("user_segment", "device", "item_category", "price_band", "last_module")
        ),
        Feature(name="user_profile", kind="vector", side="request", width=6),
        Feature(name="pages_seen", kind="numeric", side="request"),
        Feature(name="module", kind="categorical", side="candidate"),
        Feature(name="module_kind", kind="categorical", side="candidate"),
        Feature(name="relevance", kind="numeric", side="candidate"),
        Feature(name="slot", kind="categorical", side="candidate", served_as=1),
    )
}
_STAGES, _TASKS = ("module_ranking",), {"click": ("click", None), "purchase": ("purchase", "click")}


class SimulatedItemPageReader:
    """Simulates the days of a cascade whose declaration asks for `source: {kind: simulated_item_page}`.

    Production shows a static configuration, but for a share of pages in random order. A day's logs are a function of
    (seed, scale, day, as_of) alone.

    Args:
        cascade: declares stage module_ranking without predictions, tasks click and purchase, any of `FEATURES`.
        scale: size of a day, see `simulation.scales`.
        as_of: the moment at which event logs are read; None: 05:00 UTC of the day after each day.

    Raises:
        SourceError: the declaration differs from what the world fills.
    """

    def __init__(
        self, cascade: Cascade, scale: Literal["small", "default", "large"], as_of: datetime | None = None
    ) -> None:
        from ukdsl_assets.simulation.scales import SCALES

        if not isinstance(cascade.source, Declaration):
            raise SourceError(
                f"{cascade.origin}: source is of kind `{cascade.source.kind}`, expected `simulated_item_page`"
            )
        if problems := "\n  ".join(_differences(cascade)):
            raise SourceError(f"{cascade.origin}: the simulated world cannot fill it; change\n  {problems}")
        self._cascade = cascade
        self._source = cascade.source
        self._pages = SCALES[scale].requests
        self._as_of = as_of

    def read_in_parts(self, day: date) -> Iterator[DayOfLogs]:
        """The day as one part, as `read` gives it."""
        yield self.read(day)

    def read(self, day: date) -> DayOfLogs:
        """The logs of one day.

        Raises:
            SourceError: the day is before the cascade's first.
        """
        index = (day - self._cascade.first_day).days
        if index < 0:
            raise SourceError(
                f"{self._cascade.name}, day {day}: the simulated world has no logs before first_day "
                f"{self._cascade.first_day}; ask for a later day or declare an earlier first_day"
            )
        served = self._world.serve(index, self._pages, self._world.static_configuration)
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        until = self._as_of.astimezone(UTC) if self._as_of else midnight + CLOCK
        where = f"{self._cascade.name}, day {day}"
        return DayOfLogs(
            conform(candidate_rows(served, index, midnight), candidate_log_dtypes(self._cascade), where),
            conform(_events(served, index, midnight, until), event_log_dtypes(self._cascade), where),
        )

    @cached_property
    def _world(self) -> "ItemPageWorld":
        from ukdsl_assets.simulation.item_page import ItemPageWorld

        return ItemPageWorld(self._source.seed, self._source.personalisation)


def candidate_rows(served: "ServedPages", day: int, midnight: datetime) -> pl.DataFrame:
    """The candidate log of served pages, twelve rows a page, in the contract's order, with every feature."""
    from ukdsl_assets.simulation.item_page import PROPENSITY

    views = served.views
    slot = np.zeros(views.modules.shape, np.int64)
    np.put_along_axis(slot, served.shown, np.arange(1, served.shown.shape[1] + 1)[None, :], axis=1)
    shown = slot.ravel() > 0
    explored = shown & np.repeat(served.explored, views.modules.shape[1])
    moments = np.repeat(views.microsecond, views.modules.shape[1])
    return view_features(views, day).with_columns(
        requested_at=_moments(midnight, moments),
        deepest_stage=pl.lit(_STAGES[0]),
        shown=pl.Series(shown),
        explored=pl.Series(explored),
        propensity=pl.Series(np.where(explored, np.float32(PROPENSITY), np.float32(np.nan))).fill_nan(None),
        slot=pl.Series(slot.ravel()).replace(0, None),
    )


def view_features(views: "PageViews", day: int) -> pl.DataFrame:
    """Keys and features of every module of page views, [R * 12] rows; the slot, which nobody knows yet, is null."""
    count = views.modules.shape[1]
    of_page = {
        "request_id": day * PAGES_A_DAY + views.number,
        "user_segment": views.user_segment,
        "device": views.device,
        "item_category": views.category,
        "price_band": views.price_band,
        "last_module": views.last_module,
        "pages_seen": views.pages_seen,
    }
    profile = pl.Series(np.ascontiguousarray(views.profile), dtype=pl.Array(pl.Float32, views.profile.shape[1]))
    row = np.repeat(np.arange(len(views.number)), count)
    return pl.DataFrame(
        {
            **{name: values[row] for name, values in of_page.items()},
            "user_profile": profile.gather(row),
            "candidate_id": views.modules.ravel(),
            "module": views.modules.ravel(),
            "module_kind": views.kind.ravel(),
            "relevance": views.relevance.ravel(),
            "slot": pl.Series([None], dtype=pl.Int64).new_from_index(0, len(row)),
        }
    )


def _events(served: "ServedPages", day: int, midnight: datetime, until: datetime) -> pl.DataFrame:
    """Impressions, clicks and purchases that happened before `until`; a purchase's value is 1."""
    views = served.views
    request = np.repeat(day * PAGES_A_DAY + views.number[:, None], served.shown.shape[1], axis=1)
    module = np.take_along_axis(views.modules, served.shown, axis=1)
    everything = np.ones_like(served.clicked)
    frames = [
        pl.DataFrame(
            {
                "request_id": request[happened],
                "candidate_id": module[happened],
                "event": pl.repeat(event, int(happened.sum()), dtype=pl.String, eager=True),
                "occurred_at": _moments(midnight, moment[happened]),
                "value": pl.repeat(value, int(happened.sum()), dtype=pl.Float32, eager=True),
            }
        )
        for event, happened, moment, value in (
            ("impression", everything, served.impression_at, None),
            ("click", served.clicked, served.click_at, None),
            ("purchase", served.purchased, served.purchase_at, PURCHASE_VALUE),
        )
    ]
    events = pl.concat(frames).filter(pl.col("occurred_at") < until)
    return events.sort(*KEYS, "occurred_at", "event")


def _moments(midnight: datetime, microsecond: np.ndarray) -> pl.Series:
    return pl.Series(int(midnight.timestamp()) * 1_000_000 + microsecond).cast(TIMESTAMP)


def _differences(cascade: Cascade) -> list[str]:
    """How the declaration differs from what the world fills: key, seen, expected."""
    problems = []
    if cascade.identifiers != "integer" or cascade.has_bid or cascade.has_truth:
        problems.append("identifiers, has_bid, has_truth: expected integer, false and false")
    stages = tuple(stage.name for stage in cascade.stages)
    if stages != _STAGES or cascade.stages[0].predicts != ():
        problems.append(f"stages: saw {', '.join(stages)}, expected [{{name: {_STAGES[0]}, predicts: []}}]")
    tasks = {task.name: (task.event, task.given) for task in cascade.tasks}
    if tasks != _TASKS:
        problems.append(f"tasks, as name: (event, given): saw {tasks}, expected {_TASKS}")
    for feature in cascade.features:
        known = FEATURES.get(feature.name)
        if known is None:
            problems.append(f"features: unknown feature `{feature.name}`, expected some of {', '.join(FEATURES)}")
        elif feature.model_copy(update={"cost": known.cost, "names": None}) != known:
            actual, expected = (f.model_dump(exclude_defaults=True, exclude={"name", "cost"}) for f in (feature, known))
            problems.append(f"features.{feature.name}: saw {actual}, expected {expected}")
    return problems
