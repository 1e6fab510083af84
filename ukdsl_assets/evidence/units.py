"""Units of a study, a seed each: measured side by side in processes, stored one by one, never measured twice."""

import json
import multiprocessing
import os
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from ukdsl_assets.errors import EvidenceError, did_you_mean
from ukdsl_assets.evidence.study import Rows, Study
from ukdsl_assets.lake.storage import Storage, to_json

# (units done, counting parts of those under way; units in all; seconds since the start)
UnitsProgress = Callable[[float, int, float], None]
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS")


@dataclass(frozen=True)
class Unit:
    """One measured seed. seconds: wall time of its measurement, whenever that was; cpu_seconds likewise."""

    settings: Mapping[str, Any]
    rows: Rows
    seconds: float
    cpu_seconds: float


def settings_of(study: Study, seed: int, changed: Mapping[str, Any]) -> dict[str, Any]:
    """The study's defaults with the given settings in place of some of them, and the seed.

    Raises:
        EvidenceError: a setting that the study does not have, or a value of another type or below 1 (of a number that
            is at least 1 by default).
    """
    chosen = dict(study.defaults)
    for name, value in changed.items():
        if name not in study.defaults:
            known = ", ".join(study.defaults) or "(none)"
            near = did_you_mean(name, study.defaults)
            raise EvidenceError(f"{study.name}: no setting `{name}`; expected one of {known}{near}")
        kind = type(study.defaults[name])
        chosen[name] = float(value) if kind is float and type(value) is int else value
        if type(chosen[name]) is not kind:
            actual = type(value).__name__
            raise EvidenceError(
                f"{study.name}: setting `{name}`: saw {value!r} ({actual}), expected type {kind.__name__}"
            )
        if kind is int and value < 1 <= study.defaults[name]:
            raise EvidenceError(f"{study.name}: setting `{name}`: saw {value}, expected at least 1")
    return {**chosen, "seed": seed}


def measured_units(
    study: Study, settings: Sequence[Mapping[str, Any]], root: str, scratch: Path, jobs: int, progress: UnitsProgress
) -> list[Unit]:
    """The units of all settings, in their order: stored ones are read, the others measured and stored as they end.

    Args:
        root: folder or fsspec URI of the results: <root>/<study>/<seed>-<fingerprint of settings and version>.json
        scratch: local folder that measurements may keep things in.
        jobs: processes at a time, each on one thread; 1 still measures in a process of its own.

    Raises:
        EvidenceError: a measurement failed; those that were done by then stay stored.
    """
    storage = Storage(root)
    started = time.monotonic()
    units = {
        place: unit for place, unit_settings in enumerate(settings) if (unit := _stored(study, unit_settings, storage))
    }
    missing = [place for place in range(len(settings)) if place not in units]
    progress(len(units), len(settings), 0.0)
    if not missing:
        return [units[place] for place in range(len(settings))]
    scratch.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    steps: Any = context.Queue()
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    pool = ProcessPoolExecutor(min(jobs, len(missing)), context, _remember, (steps,))
    try:
        running: dict[Future[Unit], int] = {
            pool.submit(_measure, study.measure, settings[place], scratch, place): place for place in missing
        }
        parts: dict[int, float] = {}
        while running:
            done, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
            # Those that failed come last, so that what else is done gets stored.
            for future in sorted(done, key=lambda ended: ended.exception() is not None):
                place = running.pop(future)
                units[place] = _result(study, settings[place], future)
                storage.write(_path(study, settings[place], storage), _as_json(study, units[place]))
            parts |= dict(_drained(steps))
            under_way = sum(part for place, part in parts.items() if place not in units)
            progress(len(units) + under_way, len(settings), time.monotonic() - started)
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
    return [units[place] for place in range(len(settings))]


def scratch_folder(lake: str) -> Path:
    """Where measurements keep what is dear to make again: below a lake on this machine, else beside the program."""
    return Path(lake if "://" not in lake else ".ukdsl_lake") / "evidence" / "scratch"


def unit_fingerprint(study: Study, settings: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of the study's name, version and settings."""
    named = {"study": study.name, "version": study.version, "settings": settings}
    return sha256(to_json(named, study.name)).hexdigest()[:16]


def _path(study: Study, settings: Mapping[str, Any], storage: Storage) -> str:
    return storage.path(study.name, f"{settings['seed']}-{unit_fingerprint(study, settings)}.json")


def _stored(study: Study, settings: Mapping[str, Any], storage: Storage) -> Unit | None:
    content = storage.read(_path(study, settings, storage))
    if content is None:
        return None
    stored = json.loads(content)
    return Unit(stored["settings"], stored["rows"], stored["seconds"], stored["cpu_seconds"])


def _as_json(study: Study, unit: Unit) -> bytes:
    content = {"study": study.name, "version": study.version, **unit.__dict__}
    return to_json(content, f"{study.name}, seed {unit.settings['seed']}")


def _result(study: Study, settings: Mapping[str, Any], future: "Future[Unit]") -> Unit:
    try:
        return future.result()
    except Exception as error:
        raise EvidenceError(
            f"{study.name}, seed {settings['seed']}: {type(error).__name__}: {error}; what was done before is stored, "
            "and the same command goes on from there"
        ) from error


# In the processes.

_steps: Any = None


def _remember(steps: Any) -> None:
    global _steps
    _steps = steps


def _measure(measure: Callable[..., Rows], settings: Mapping[str, Any], scratch: Path, place: int) -> Unit:
    wall, cpu = time.monotonic(), time.process_time()
    rows = measure(settings, scratch, partial(_report_step, place))
    return Unit(dict(settings), rows, time.monotonic() - wall, time.process_time() - cpu)


def _report_step(place: int, done: int, steps: int) -> None:
    _steps.put((place, done / steps))


def _drained(steps: Any) -> list[tuple[int, float]]:
    drained = []
    while True:
        try:
            drained.append(steps.get_nowait())
        except queue.Empty:
            return drained
