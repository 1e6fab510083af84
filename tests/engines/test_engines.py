"""What every engine promises: order, errors that say where, lost workers tried again, nothing left behind."""

import os
import subprocess
import sys
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.engines import work
from ukdsl_assets.engines.engine import Engine, LocalEngine
from ukdsl_assets.engines.open import open_engine
from ukdsl_assets.engines.processes import LARGE, ProcessEngine
from ukdsl_assets.errors import EngineError, LakeError
from ukdsl_assets.settings import PROJECT

# Processes start, and import, before they work.
pytestmark = pytest.mark.slow


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def gone(processes: list[int], seconds: float = 5) -> bool:
    """Whether processes end within seconds."""
    until = time.monotonic() + seconds
    while any(map(alive, processes)) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(map(alive, processes))


def test_results_come_in_the_order_of_the_shards(engine: Engine) -> None:
    assert list(engine.map(work.square, range(12), "squares")) == [number * number for number in range(12)]
    assert list(engine.map(work.square, [], "nothing")) == []


def test_work_that_holds_much_is_read_once_by_each_process(apart: Engine, tmp_path: Path) -> None:
    heavy = work.Heavy(tmp_path)
    assert list(apart.map(heavy, range(12), "heavy")) == [number + len(heavy.much) for number in range(12)]
    # Ray may start another process beside one that waits for its data.
    assert 1 <= len(list(tmp_path.iterdir())) <= (apart.workers if isinstance(apart, ProcessEngine) else 5)
    # Another's is not taken for it.
    lighter = work.Heavy(tmp_path, b"x" * 2 * 2**20)
    assert list(apart.map(lighter, range(3), "heavy")) == [number + len(lighter.much) for number in range(3)]


def test_an_error_of_the_input_keeps_its_kind_and_says_which_shard(apart: Engine) -> None:
    done: list[int] = []
    with pytest.raises(LakeError) as told:
        done.extend(apart.map(work.refused, range(4), "shop/impressions, day 2026-01-01"))
    assert str(told.value).startswith("shop/impressions, day 2026-01-01, shard 2 of 4 (on ")
    assert str(told.value).endswith("): table/x has no day 2026-01-01. Make it first.")
    assert "process " in str(told.value)


def test_an_error_that_cannot_travel_is_told_with_its_traceback(apart: Engine) -> None:
    with pytest.raises(EngineError, match=r"labels, shard 0 of 2 \(on .*(?s:.)*CannotTravelError: this and that"):
        list(apart.map(work.broken, range(2), "labels"))


def test_a_lost_workers_shard_is_worked_on_again(apart: Engine, tmp_path: Path) -> None:
    assert list(apart.map(partial(work.killed_once, tmp_path), range(8), "tables")) == list(range(8))
    assert (tmp_path / "3").exists()


def test_work_that_always_loses_its_worker_ends_with_what_to_do(apart: Engine) -> None:
    with pytest.raises(EngineError, match=r"tables, shard [01] of 3: workers were lost 4 times .*UKDSL_SHARDS"):
        list(apart.map(work.always_killed, range(3), "tables"))
    assert list(apart.map(work.square, [5], "squares")) == [25]  # and the engine goes on


def test_who_stops_early_leaves_no_worker_at_work(apart: Engine, tmp_path: Path) -> None:
    results = apart.map(partial(work.long, tmp_path), range(4), "long")
    assert next(results) == 0
    until = time.monotonic() + 20
    while len([*tmp_path.iterdir()]) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    results.close()  # type: ignore[attr-defined]
    # Where a worker has ended the long shard, it is another's process by now, or none.
    busy = [int(each.name) for each in tmp_path.iterdir()]
    assert busy
    if isinstance(apart, ProcessEngine):
        assert gone(busy)
    started = time.monotonic()
    assert list(apart.map(work.square, range(2), "squares")) == [0, 1]
    assert time.monotonic() - started < 30


def test_a_worker_has_the_threads_it_was_given(apart: Engine) -> None:
    names = ["POLARS_MAX_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"]
    assert list(apart.map(work.threads, names, "threads")) == ["1"] * 3


def test_a_killed_run_leaves_neither_workers_nor_the_file_of_their_work(tmp_path: Path) -> None:
    script = """
import os
from functools import partial
from pathlib import Path
from tests.engines import work
from ukdsl_assets.engines.processes import LARGE, ProcessEngine
if __name__ == "__main__":
    folder = Path(os.environ["TMPDIR"])
    list(ProcessEngine(1).map(partial(work.with_much, bytes(2 * LARGE), folder), range(1, 3), "long"))
"""
    (tmp_path / "run.py").write_text(script)
    (tmp_path / "temporary").mkdir()
    settings = os.environ | {"TMPDIR": str(tmp_path / "temporary"), "PYTHONPATH": str(PROJECT)}
    run = subprocess.Popen([sys.executable, str(tmp_path / "run.py")], env=settings)

    def workers() -> list[int]:
        return [int(each.name) for each in (tmp_path / "temporary").iterdir() if each.name.isdigit()]

    until = time.monotonic() + 60
    while not workers() and time.monotonic() < until:
        time.sleep(0.05)
    there = list((tmp_path / "temporary").glob("tmp*/*"))
    run.kill()
    run.wait()
    assert len(there) == 1
    assert there[0].stat().st_size > LARGE
    assert gone(workers(), 20)
    assert not there[0].parent.exists()


def test_a_local_engine_raises_what_the_work_raises() -> None:
    with pytest.raises(LakeError, match=r"^table/x has no day"):
        list(LocalEngine().map(work.refused, range(4), "labels"))


@pytest.mark.parametrize(
    "name", ["", "process", "processes:", "processes:0", "processes:-1", "processes:x", "http://h"]
)
def test_a_name_that_is_no_engine_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(EngineError, match=r"UKDSL_ENGINE is .* expected local, processes, processes:N"):
        open_engine(name)


def test_names_open_their_engines_and_start_nothing() -> None:
    assert open_engine("local") == LocalEngine()
    assert open_engine("processes:3") == ProcessEngine(3)
    assert open_engine("processes") == ProcessEngine(os.cpu_count() or 1)


@pytest.mark.parametrize("name", ["auto", "ray://head:10001"])
def test_a_cluster_is_asked_for_where_ray_is(name: str) -> None:
    if find_spec("ray") is None:
        with pytest.raises(EngineError, match=r"needs Ray, which is not installed.*ukdsl-assets\[ray\]"):
            open_engine(name)
    else:
        assert open_engine(name).remote
