"""The simulated ads cascade as a source of logs; the world is in `simulation/`."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.sources import SimulatedSource as SimulatedDeclaration
from ukdsl_assets.declaration.sources import SimulatedSurface
from ukdsl_assets.errors import SourceError
from ukdsl_assets.logs.by_shard import whole_day
from ukdsl_assets.logs.contract import ROWS_AT_ONCE, DayOfLogs, candidate_log_dtypes

if TYPE_CHECKING:
    from ukdsl_assets.simulation.ads.day import SimulatedDay
    from ukdsl_assets.simulation.ads.production import ProductionModels
    from ukdsl_assets.simulation.ads.state import StateFolder
    from ukdsl_assets.simulation.ads.world import World

_TASKS = {"click": ("click", None), "conversion": ("conversion", "click")}  # name: (event, given)
# What a declaration may choose of a feature.
_FREE = ("name", "cost", "hash_buckets", "names")


class SimulatedAdsReader:
    """Simulates the days of a cascade whose declaration asks for `source: {kind: simulated}`.

    A day's logs are a function of (seed, scale, day, as_of) alone, whatever other days were read before: the event log
    holds the events before `as_of`, and a rerun with a later `as_of` finds the conversions that came late.

    Args:
        cascade: declares the world's stages and tasks, and any of its features in any order.
        state_folder: local path or fsspec URI, where the production models' state after each day is kept.
        scale: size of a day, see `simulation.scales`.
        progress: told (what, days done, days to do) while days before the one that was asked for are simulated.
        as_of: the moment, with a time zone, at which the event logs are read; None: 05:00 UTC of the day after each
            day, when production trains on it.

    Raises:
        SourceError: the declaration differs from what the world fills, or `as_of` has no time zone.
    """

    def __init__(
        self,
        cascade: Cascade,
        state_folder: str,
        scale: Literal["small", "default", "large"],
        progress: Callable[[str, int, int], None] | None = None,
        as_of: datetime | None = None,
    ) -> None:
        from ukdsl_assets.simulation.scales import SCALES

        if cascade.source.kind != "simulated":
            raise SourceError(f"{cascade.origin}: source.kind: expected `simulated`, saw `{cascade.source.kind}`")
        problems = _differences(cascade)
        if problems:
            raise SourceError(
                f"{cascade.origin}: the simulated world cannot fill it; change\n  " + "\n  ".join(problems)
            )
        if as_of is not None and as_of.utcoffset() is None:
            raise SourceError(
                f"{cascade.name}, as_of: saw {as_of.isoformat()} without a time zone, expected one; write "
                f"{as_of.isoformat()}+00:00 if it is UTC"
            )
        self._cascade = cascade
        self._seed = cascade.source.seed
        self._surface = cascade.source.surface
        self._probe_rate = cascade.source.probe_rate
        # A surface's models are its own, and another's once its declaration changes.
        of = f"/surface={_fingerprint(self._surface)}" if self._surface else ""
        self._state_folder = state_folder + of
        self._scale_name = scale
        self._scale = SCALES[scale]
        self._progress = progress
        self._as_of = as_of

    def read(self, day: date) -> DayOfLogs:
        """The whole day, as `read_in_parts` gives it."""
        return whole_day(self.read_in_parts(day))

    def read_in_parts(self, day: date) -> Iterator[DayOfLogs]:
        """The logs of one day, some requests after the other, in the contract's order.

        Brings the production models forward to the day first, from the newest saved state; interrupted, it resumes
        after the last simulated day. What is simulated, about a tenth of the logs, is in memory as a whole. The models
        learn from the day beside whoever takes the parts; their state is saved once the last part is taken.

        Raises:
            SourceError: the day is before the cascade's first, or a saved state cannot be read.
        """
        from ukdsl_assets.simulation.ads.day import CLOCK, simulate_day, some_requests
        from ukdsl_assets.simulation.ads.logs import candidate_log, event_log, midnight_of
        from ukdsl_assets.simulation.ads.truth import CANDIDATES

        index = (day - self._cascade.first_day).days
        if index < 0:
            raise SourceError(
                f"{self._cascade.name}, day {day}: the simulated world has no logs before first_day "
                f"{self._cascade.first_day}; ask for a later day or declare an earlier first_day"
            )
        models = self._models_before(index)
        truths = self._cascade.has_truth
        served = simulate_day(self._world, models, index, self._requests_of(index), truths, self._probe_rate)
        midnight = midnight_of(day)
        # Polars compares moments of one zone only.
        as_of = self._as_of.astimezone(UTC) if self._as_of else midnight + timedelta(microseconds=CLOCK)
        of_world = {name: self._world_names.get(name, name) for name in candidate_log_dtypes(self._cascade)}
        names = {there: here for here, there in of_world.items()}
        at_once = max(ROWS_AT_ONCE // CANDIDATES, 1)
        # Torch trains on one thread and holds no lock.
        with ThreadPoolExecutor(1) as beside:
            training = beside.submit(self._train, models, served)
            for start in range(0, len(served.slots), at_once):
                some = some_requests(served, slice(start, start + at_once))
                yield DayOfLogs(candidate_log(some, midnight, names).rename(names), event_log(some, midnight, as_of))
            training.result()

    read_in_order = read_in_parts

    def _train(self, models: "ProductionModels", served: "SimulatedDay") -> None:
        """Train the models on a day and save them, unless they have been."""
        if served.day not in self._states.days():
            models.train(served, self._scale)
            self._states.save(models)

    @property
    def _world_names(self) -> dict[str, str]:
        return self._surface.columns if self._surface else {}

    def _requests_of(self, index: int) -> int:
        share = self._surface.traffic if self._surface else 1.0
        return max(round(share * self._scale.requests_of(index)), 1)

    @cached_property
    def _world(self) -> "World":
        from ukdsl_assets.simulation.ads.world import World

        return World(self._seed, self._surface)

    @cached_property
    def _states(self) -> "StateFolder":
        from ukdsl_assets.simulation.ads.state import StateFolder

        return StateFolder(self._state_folder, self._seed, self._scale_name)

    def _models_before(self, index: int) -> "ProductionModels":
        """The production models as they serve a day, after simulating what is missing before it."""
        from ukdsl_assets.simulation.ads.day import simulate_day
        from ukdsl_assets.simulation.ads.production import ProductionModels
        from ukdsl_assets.simulation.scales import WARM_UP_DAYS

        saved = [day for day in self._states.days() if day < index]
        models = self._states.load(saved[-1]) if saved else ProductionModels(self._seed, -WARM_UP_DAYS - 1)
        missing = range(models.trained_to + 1, index)
        for done, day in enumerate(missing, start=1):
            requests = self._requests_of(day)
            models.train(simulate_day(self._world, models, day, requests, truths=False), self._scale)
            self._states.save(models)
            if self._progress is not None:
                self._progress("simulating the days before", done, len(missing))
        return models


def _differences(cascade: Cascade) -> list[str]:
    """How the declaration differs from what the world fills: key, seen, expected."""
    from ukdsl_assets.simulation.ads.logs import FEATURES, STAGES

    problems = []
    surface = cascade.source.surface if isinstance(cascade.source, SimulatedDeclaration) else None
    names = surface.columns if surface else {}
    if cascade.identifiers != "integer":
        problems.append(f"identifiers: saw {cascade.identifiers}, expected integer")
    rate = cascade.source.probe_rate if isinstance(cascade.source, SimulatedDeclaration) else 0.0
    if cascade.has_probes != (rate > 0):
        problems.append(
            f"has_probes, source.probe_rate: saw {str(cascade.has_probes).lower()} and {rate:g}, expected true and a "
            "rate above 0, or neither"
        )
    stages = tuple(stage.name for stage in cascade.stages)
    if stages != tuple(STAGES):
        problems.append(f"stages: saw {', '.join(stages)}, expected {', '.join(STAGES)} in this order")
    else:
        for stage, predicts in STAGES.items():
            logged = cascade.predictions_of(stage)
            if set(logged) != set(predicts):
                problems.append(f"stages.{stage}.predicts: saw {list(logged)}, expected {list(predicts)}")
    tasks = {task.name: (task.event, task.given) for task in cascade.tasks}
    if tasks != _TASKS:
        problems.append(f"tasks, as name: (event, given): saw {tasks}, expected {_TASKS}")
    declared = {feature.name for feature in cascade.features}
    problems += [f"source.surface.columns: unknown feature `{name}`" for name in names if name not in declared]
    filled = [names.get(name, name) for name in declared]
    problems += [
        f"features: two of them are the world's `{n}`" for n in sorted({n for n in filled if filled.count(n) > 1})
    ]
    for feature in cascade.features:
        known = FEATURES.get(names.get(feature.name, feature.name))
        if known is None:
            problems.append(f"features: unknown feature `{feature.name}`, expected some of {', '.join(FEATURES)}")
        elif feature.model_copy(update={key: getattr(known, key) for key in _FREE}) != known:
            expected = known.model_dump(exclude_none=True, exclude={"name", "cost"})
            actual = feature.model_dump(exclude_none=True, exclude={"name", "cost"})
            problems.append(f"features.{feature.name}: saw {actual}, expected {expected}")
    return problems


def _fingerprint(surface: SimulatedSurface) -> str:
    return sha256(surface.model_dump_json().encode()).hexdigest()[:8]
