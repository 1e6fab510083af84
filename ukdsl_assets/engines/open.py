"""The engine that a setting names."""

import os
from importlib.util import find_spec

from ukdsl_assets.engines.engine import Engine, LocalEngine
from ukdsl_assets.errors import EngineError


def open_engine(name: str, threads: int = 1) -> Engine:
    """The engine for UKDSL_ENGINE; no worker is started before it is used.

    Args:
        name: `local`, `processes` (as many as there are cores), `processes:N`, `auto` (the Ray cluster that this
            process is in) or `ray://host:10001`.
        threads: of a worker.

    Raises:
        EngineError: another name, or one of a cluster where Ray is not installed.
    """
    kind, _, number = name.partition(":")
    if name == "local":
        return LocalEngine()
    if kind == "processes" and (name == kind or (number.isdecimal() and int(number) > 0)):
        from ukdsl_assets.engines.processes import ProcessEngine

        return ProcessEngine(int(number or os.cpu_count() or 1), threads)
    if name == "auto" or name.startswith("ray://"):
        if find_spec("ray") is None:
            raise EngineError(
                f"UKDSL_ENGINE={name} needs Ray, which is not installed. Install it on every node: "
                'pip install "ukdsl-assets[ray]"'
            )
        from ukdsl_assets.engines.ray_cluster import RayEngine

        return RayEngine(name, threads)
    raise EngineError(
        f"UKDSL_ENGINE is {name!r}, expected local, processes, processes:N with N of 1 or more, auto, or "
        "ray://host:10001. Set one of these."
    )
