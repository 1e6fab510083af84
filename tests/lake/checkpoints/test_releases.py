"""The pointer `released` follows the newest release of the history, whoever races."""

import datetime as dt
import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.checkpoints.releases import ReleaseStore
from ukdsl_assets.lake.storage import Storage

KEY = ("simulated_ads", "pre_ranking_click")
WRITERS, ROUNDS = 3, 8

spawned = multiprocessing.get_context("spawn")


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    return ReleaseStore(str(tmp_path / "models"))


def entry(day: int, checkpoint: str = "0" * 16) -> dict[str, Any]:
    return {"day": f"2026-01-{day:02}", "checkpoint": checkpoint}


def release_own_days(root: str, writer: int, barrier: Barrier) -> None:
    store = ReleaseStore(root)
    for turn in range(ROUNDS):
        barrier.wait(60)
        store.release((*KEY, f"round_{turn}"), entry(1 + (writer + turn) % WRITERS))


def test_decisions_are_remembered_in_order_and_a_refusal_does_not_move_the_pointer(store: ReleaseStore) -> None:
    assert (store.released(KEY), store.release_history(KEY)) == (None, [])
    store.release(KEY, entry(5, "good"))
    store.refuse(KEY, {"checkpoint": "bad", "failed": ["calibration"]})
    assert store.released(KEY) == entry(5, "good")
    store.release(KEY, entry(6, "better"))
    assert store.released(KEY) == entry(6, "better")
    history = store.release_history(KEY)
    assert [(record["outcome"], record["entry"]["checkpoint"]) for record in history] == [
        ("released", "good"),
        ("refused", "bad"),
        ("released", "better"),
    ]
    decided = [dt.datetime.fromisoformat(record["decided_at"]) for record in history]
    assert decided == sorted(decided)
    assert all(moment.utcoffset() == dt.timedelta(0) for moment in decided)
    assert store.release_history(KEY, last=2) == history[1:]
    assert store.release_history(KEY, last=9) == history


def test_what_was_not_judged_is_remembered_in_order_and_moves_nothing(
    store: ReleaseStore,
) -> None:
    store.release(KEY, entry(5, "good"))
    store.leave_unjudged(KEY, entry(6, "unsure") | {"reasons": ["too few rows"]})
    store.refuse(KEY, entry(7, "bad"))
    store.leave_unjudged(KEY, entry(8, "unsure"))
    assert store.released(KEY) == store.newest_release(KEY) == entry(5, "good")
    history = store.release_history(KEY)
    assert [each["outcome"] for each in history] == ["released", "not_judged", "refused", "not_judged"]
    names = sorted(path.name for path in Path(store.root, *KEY, "releases").iterdir())
    assert [name.split("-")[1] for name in names] == ["released", "not_judged", "refused", "not_judged"]
    # Where a clock was set back the next name still comes last.
    first = Path(store.root, *KEY, "releases", names[-1])
    first.rename(first.with_name("29990101T000000.000000" + names[-1][22:]))
    store.refuse(KEY, entry(9, "bad"))
    assert store.release_history(KEY)[-1]["entry"] == entry(9, "bad")


def test_releasing_an_older_day_is_recorded_and_leaves_the_newer_released(store: ReleaseStore) -> None:
    store.release(KEY, entry(6))
    store.release(KEY, entry(5))
    assert store.released(KEY) == entry(6)
    assert [record["entry"] for record in store.release_history(KEY)] == [entry(6), entry(5)]


def test_releasing_the_same_again_is_recorded_once_and_going_back_within_a_day_twice(store: ReleaseStore) -> None:
    for _ in range(2):
        store.release(KEY, entry(5, "first"))
    assert len(store.release_history(KEY)) == 1
    for checkpoint in ("second", "first"):
        store.release(KEY, entry(5, checkpoint))
    assert store.released(KEY) == entry(5, "first")
    assert len(store.release_history(KEY)) == 3


def test_a_release_that_was_killed_before_the_pointer_is_finished_by_doing_it_again(store: ReleaseStore) -> None:
    store.release(KEY, entry(5))
    pointer = Path(store.root, *KEY, "released.json")
    before = pointer.read_bytes()
    store.release(KEY, entry(6))
    pointer.write_bytes(before)
    store.release(KEY, entry(6))
    assert store.released(KEY) == entry(6)
    assert len(store.release_history(KEY)) == 2


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days=st.lists(st.integers(1, 4), min_size=1, max_size=8))
def test_in_any_order_the_last_release_of_the_latest_day_is_released(
    tmp_path_factory: pytest.TempPathFactory, days: list[int]
) -> None:
    store = ReleaseStore(str(tmp_path_factory.mktemp("models")))
    for number, day in enumerate(days):
        store.release(KEY, entry(day, str(number)))
    last = max(number for number, day in enumerate(days) if day == max(days))
    assert store.released(KEY) == entry(max(days), str(last))


def test_a_writer_that_is_overtaken_before_it_writes_the_pointer_puts_it_right(
    store: ReleaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, overtakes = Storage.write, [entry(6)]

    def overtaken(storage: Storage, path: str, content: bytes) -> None:
        if path.endswith("/released.json") and overtakes:
            ReleaseStore(store.root).release(KEY, overtakes.pop())
        write(storage, path, content)

    monkeypatch.setattr(Storage, "write", overtaken)
    store.release(KEY, entry(5))
    assert store.released(KEY) == entry(6)


@pytest.mark.slow
def test_processes_that_release_other_days_at_once_end_at_the_newest(tmp_path: Path) -> None:
    barrier = spawned.Barrier(WRITERS)
    writers = [
        spawned.Process(target=release_own_days, args=(str(tmp_path), writer, barrier)) for writer in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    store = ReleaseStore(str(tmp_path))
    for turn in range(ROUNDS):
        key = (*KEY, f"round_{turn}")
        assert store.released(key) == entry(WRITERS)
        days = sorted(record["entry"]["day"] for record in store.release_history(key))
        assert days == [entry(day)["day"] for day in range(1, WRITERS + 1)]


@pytest.mark.parametrize(
    "wrong", [{}, {"day": None}, {"day": "5 January"}, {"day": "20260105"}, {"day": "2026-1-5"}, {"day": "2026-02-30"}]
)
def test_an_entry_without_an_iso_day_is_refused_and_nothing_is_recorded(
    store: ReleaseStore, wrong: dict[str, Any]
) -> None:
    with pytest.raises(LakeError, match=r'"day" of the entry is .*, expected YYYY-MM-DD'):
        store.release(KEY, wrong)
    assert not Path(store.root).exists()
