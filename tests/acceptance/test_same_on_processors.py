"""What is the same on every processor, as docs/reproducibility.md claims: a day under the kernels of another one.

Libraries choose their kernels by what the processor can do, and can be told to take those of an older one. The bytes
of tables and checkpoints are compared, and where networks take part, how they are judged.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.recorded_day import NAME, NETWORK, write_logs

PROJECT = Path(__file__).resolve().parents[2]
# How far figures of a network may be apart where its matrix products add in another order; seen: 1e-8.
CLOSE = 1e-4
OF_NETWORK = {
    *(f"{NAME}/{NETWORK}_{each}" for each in ("baseline", "distilled", "evaluation", "champion", "release")),
    f"{NAME}/{NETWORK}/calibration_by_group",
}
Recorded = Callable[..., dict[str, Any]]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        platform.machine() not in ("x86_64", "AMD64"), reason="kernels are named for x86-64 processors alone"
    ),
]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """What the same day makes in a process whose environment has some more variables; each is run once."""
    folder = tmp_path_factory.mktemp("recorded")
    write_logs(folder)

    @cache
    def run(**environment: str) -> dict[str, Any]:
        file = folder / f"{'-'.join(environment) or 'as found'}-{'-'.join(environment.values())}.json"
        done = subprocess.run(
            [sys.executable, "-m", "tests.fixtures.recorded_day", str(folder), str(file)],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT), **environment},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        made: dict[str, Any] = json.loads(file.read_text())
        assert made["failures"] == {}
        return made

    return run


def features_of_avx512() -> list[str]:
    """What NumPy was compiled for and this processor has beyond AVX2; other processors take other kernels."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__  # type: ignore[import-not-found]

    return [name for name in __cpu_dispatch__ if __cpu_features__.get(name) and ("512" in name or name == "X86_V4")]


def differing(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    """Assets whose data versions differ, or that only one day has."""
    versions = one["versions"], other["versions"]
    return {key for key in versions[0].keys() | versions[1].keys() if versions[0].get(key) != versions[1].get(key)}


def test_a_day_has_all_that_is_claimed(recorded: Recorded) -> None:
    keys = recorded()["versions"].keys()
    assert keys > OF_NETWORK
    made = ("trees_checkpoint", "corrected_augmented", "selecting_consideration_importance")
    assert keys > {f"{NAME}/{each}" for each in (*made, "of_trees_evaluation", "pre_ranking_logged_audit")}


def test_the_kernels_of_an_older_blas_and_numpy_change_no_byte(recorded: Recorded) -> None:
    wide = features_of_avx512()
    without = {"NPY_DISABLE_CPU_FEATURES": " ".join(wide)} if wide else {}
    found, other = recorded(), recorded(OPENBLAS_CORETYPE="Haswell", **without)
    assert not differing(found, other)
    assert found["simulated ads"] == other["simulated ads"]


def test_one_thread_and_the_kernels_of_blas_for_avx512_change_no_byte(recorded: Recorded) -> None:
    """Both at once, as a day takes long; kernels for SkylakeX need a processor that has AVX-512."""
    libraries = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    kernels = {"OPENBLAS_CORETYPE": "SkylakeX"} if features_of_avx512() else {}
    found, other = recorded(), recorded(UKDSL_THREADS="1", **dict.fromkeys(libraries, "1"), **kernels)
    assert not differing(found, other)
    assert found["simulated ads"] == other["simulated ads"]


def test_the_kernels_of_torch_change_networks_alone_and_their_figures_hardly(recorded: Recorded) -> None:
    older = {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "ONEDNN_MAX_CPU_ISA": "SSE41"}
    found, other = recorded(), recorded(**older)
    assert differing(found, other) <= OF_NETWORK
    for one, another in zip(found["judged"], other["judged"], strict=True):
        assert one == pytest.approx(another, abs=CLOSE, nan_ok=True)
