"""Runs the tests that mirror a changed file, in a fork of a process that has the libraries loaded already."""

import os
import signal
import sys
import time
from pathlib import Path

# Forks must not find a library's threads in the midst of something, and one change is to use one core.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS"), "1"
)
# What takes seconds to load; nothing of the project, which differs from change to change.
LIBRARIES = (
    *("pytest", "numpy", "polars", "duckdb", "scipy.special", "scipy.optimize", "scipy.stats", "pydantic", "yaml"),
    *("sqlglot", "jinja2", "deltalake", "pyarrow", "torch", "lightgbm", "sklearn.metrics"),
)


def tests_pass(root: Path, tests: tuple[str, ...], seconds: float, output: Path) -> bool | None:
    """Whether the tests pass in a checkout; None where they did not end in time.

    Args:
        root: a copy of the checkout, with the change in it.
        output: what pytest says, for whoever wonders.
    """
    child = os.fork()
    if child == 0:
        # Tests may start processes; whoever runs out of time ends with all of its own.
        os.setsid()
        os._exit(_pytest(root, tests, output))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _pytest(root: Path, tests: tuple[str, ...], output: Path) -> int:
    """pytest's exit code."""
    import pytest

    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.chdir(root)
    ours = ("ukdsl_assets", "tests", "benchmarks")
    for name in [name for name in sys.modules if name.split(".")[0] in ours]:
        del sys.modules[name]
    sys.path[:] = [str(root), *(each for each in sys.path if each not in ("", os.environ["CHECKOUT"]))]
    os.environ["PYTHONPATH"] = str(root)
    options = ["-x", "-q", "--no-header", "-m", "not slow", "--assert=plain", "-p", "no:cacheprovider"]
    return int(pytest.main([*options, *tests]))
