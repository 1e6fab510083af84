"""Pointers, records and states that are not what was written: refused by path, and nothing is swept because of them."""

import datetime as dt
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.checkpoints.interrupted import StateFile
from ukdsl_assets.lake.checkpoints.store import Checkpoint, CheckpointStore
from ukdsl_assets.lake.storage import Storage

KEY = ("shop", "click", "distilled")
MONDAY, TUESDAY = dt.date(2026, 1, 5), dt.date(2026, 1, 6)


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(str(tmp_path))


def publish(store: CheckpointStore, day: dt.date, scale: float = 1.0) -> Checkpoint:
    saved = store.save(KEY, day, {"scale": scale}, {"w": np.full(9, scale, np.float32)})
    store.publish(saved)
    return saved


def release(store: CheckpointStore, saved: Checkpoint) -> None:
    store.release(KEY[:2], {"day": str(saved.day), "arm": KEY[2], "checkpoint": saved.version})


def make_old(store: CheckpointStore) -> None:
    for path in Path(store.root).rglob("*"):
        os.utime(path, (0, 0))


def day_folder(store: CheckpointStore, day: dt.date = MONDAY) -> Path:
    return Path(store.root, *KEY, "checkpoints", f"day={day}")


@pytest.mark.parametrize("student", ["releases", "training", "checkpoints"])
def test_a_student_may_be_called_as_a_folder_of_the_store(store: CheckpointStore, student: str) -> None:
    saved = store.save(("shop", student, "distilled"), MONDAY, {"scale": 1})
    store.publish(saved)
    store.release(("shop", student), {"day": str(MONDAY), "arm": "distilled", "checkpoint": saved.version})
    make_old(store)
    assert store.sweep(0) == {}
    released = store.load_released(("shop", student))
    assert released is not None
    assert released.version == saved.version


def test_a_release_that_names_what_is_not_there_says_so(store: CheckpointStore) -> None:
    saved = publish(store, MONDAY)
    release(store, saved)
    shutil.rmtree(day_folder(store))
    words = f"^release of shop/click: it names version {saved.version}.*no version.*Release again"
    with pytest.raises(LakeError, match=words):
        store.load_released(KEY[:2])


NO_OBJECTS = pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"null", b"[]", b'"x"', b"{}"])


@NO_OBJECTS
def test_a_damaged_pointer_of_a_day_is_refused_and_sweeps_nothing(store: CheckpointStore, content: bytes) -> None:
    saved = publish(store, MONDAY)
    pointer = day_folder(store) / "current.json"
    make_old(store)
    pointer.write_bytes(content)
    for read in (lambda: store.load(KEY, MONDAY), lambda: store.facts(KEY, MONDAY), lambda: store.sweep(0)):
        with pytest.raises(LakeError, match=r"current\.json is damaged.*make the day again"):
            read()
    assert store.load(KEY, MONDAY, saved.version).version == saved.version
    store.publish(saved)
    assert store.load(KEY, MONDAY).version == saved.version
    assert store.sweep(0) == {}


@pytest.mark.parametrize("version", ["../../x", "0" * 15, "G" * 16, 7, None])
def test_a_pointer_names_a_version_and_nothing_else(store: CheckpointStore, version: object) -> None:
    publish(store, MONDAY)
    (day_folder(store) / "current.json").write_text(json.dumps({"version": version}))
    with pytest.raises(LakeError, match=r"it names version .*, expected 16 digits"):
        store.load(KEY, MONDAY)


def test_a_pointer_to_what_is_not_there_is_refused_and_sweeps_nothing(store: CheckpointStore) -> None:
    saved = publish(store, MONDAY)
    make_old(store)
    (day_folder(store) / "current.json").write_text(json.dumps({"version": "0" * 16}))
    with pytest.raises(LakeError, match=r"no version 0000000000000000.*ukdsl run shop --days 2026-01-05"):
        store.load(KEY, MONDAY)
    with pytest.raises(LakeError, match="names version 0000000000000000, which is not beside it"):
        store.sweep(0)
    assert (day_folder(store) / saved.version).exists()


def test_what_is_published_while_a_sweep_looks_is_no_damage(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, MONDAY, 1.0)
    make_old(store)
    listed = Storage.find

    def and_then_published(storage: Storage, *parts: str) -> list[str]:
        found = listed(storage, *parts)
        publish(store, MONDAY, 2.0)
        return found

    monkeypatch.setattr(Storage, "find", and_then_published)
    assert store.sweep(0) == {"/".join(KEY): 1}
    assert store.load(KEY, MONDAY).metadata == {"scale": 2.0}


def test_a_folder_of_no_day_is_named(store: CheckpointStore) -> None:
    publish(store, MONDAY)
    day_folder(store).rename(day_folder(store).with_name("day=notaday"))
    for read in (
        lambda: store.days(KEY),
        lambda: store.newest_before(KEY, TUESDAY),
        lambda: store.load_newest(KEY, TUESDAY),
    ):
        with pytest.raises(LakeError, match=r"shop/click/distilled: the folder .*day=notaday is of no day.*Move it"):
            read()


def test_changed_facts_are_refused(store: CheckpointStore) -> None:
    saved = publish(store, MONDAY)
    facts = day_folder(store) / saved.version / "checkpoint.json"
    facts.write_bytes(facts.read_bytes().replace(b"1.0", b"7.0"))
    with pytest.raises(LakeError, match="not what was saved"):
        store.facts(KEY, MONDAY)


def test_a_checkpoint_that_was_swept_before_it_was_published_is_not_published(store: CheckpointStore) -> None:
    before = publish(store, MONDAY)
    saved = store.save(KEY, MONDAY, {}, {"w": np.zeros(1, np.float32)})
    assert store.sweep(0) == {}, "what was saved within the hour may yet be published"
    make_old(store)
    assert store.sweep(0) == {"/".join(KEY): 1}
    with pytest.raises(LakeError, match="Nothing was published; save it again"):
        store.publish(saved)
    assert store.load(KEY, MONDAY).version == before.version


@NO_OBJECTS
def test_a_damaged_release_is_refused_and_mended_by_the_next(store: CheckpointStore, content: bytes) -> None:
    first, second = publish(store, MONDAY), publish(store, TUESDAY)
    release(store, first)
    pointer = Path(store.root, *KEY[:2], "released.json")
    pointer.write_bytes(content)
    for read in (lambda: store.released(KEY[:2]), lambda: store.load_released(KEY[:2])):
        with pytest.raises(LakeError, match=r"release of shop/click: .*released\.json is damaged.*ukdsl run shop"):
            read()
    release(store, second)
    assert (store.released(KEY[:2]) or {})["checkpoint"] == second.version
    pointer.write_bytes(content)
    release(store, second)  # the same again
    assert (store.released(KEY[:2]) or {})["checkpoint"] == second.version


def test_a_release_that_was_never_decided_is_refused_whatever_part_of_it_differs(store: CheckpointStore) -> None:
    release(store, publish(store, MONDAY))
    pointer = Path(store.root, *KEY[:2], "released.json")
    entry = json.loads(pointer.read_bytes())
    for name in entry.keys() - {"day"}:
        pointer.write_text(json.dumps(entry | {name: f"{entry[name]}?"}))
        with pytest.raises(LakeError, match=rf"released\.json is damaged: no decision of {MONDAY} says so"):
            store.released(KEY[:2])
    pointer.write_text(json.dumps(entry | {"day": str(TUESDAY)}))
    with pytest.raises(LakeError, match=f"no decision of {TUESDAY} says so"):
        store.released(KEY[:2])
    pointer.write_text(json.dumps(entry))
    shutil.rmtree(pointer.parent / "releases")
    assert store.released(KEY[:2]) == entry


def test_a_release_without_a_checkpoint_is_told(store: CheckpointStore) -> None:
    store.release(KEY[:2], {"day": str(MONDAY), "checkpoint": "x"})
    with pytest.raises(LakeError, match="names no checkpoint, expected an arm"):
        store.load_released(KEY[:2])


@pytest.mark.parametrize("damage", [lambda content: b"{", lambda content: content.replace(b"2026", b"2027")])
def test_a_damaged_decision_is_refused_and_sweeps_nothing(
    store: CheckpointStore, damage: Callable[[bytes], bytes]
) -> None:
    old, new = publish(store, MONDAY, 1.0), publish(store, MONDAY, 2.0)
    release(store, old)
    make_old(store)
    [record] = Path(store.root, *KEY[:2], "releases").iterdir()
    record.write_bytes(damage(record.read_bytes()))
    for do in (lambda: store.release_history(KEY[:2]), lambda: release(store, new), lambda: store.sweep(0)):
        with pytest.raises(LakeError, match=f"{record.name} is damaged.*or remove it"):
            do()
    assert store.load(KEY, MONDAY, old.version).version == old.version
    record.unlink()
    release(store, new)
    assert [each["entry"]["checkpoint"] for each in store.release_history(KEY[:2])] == [new.version]


def test_a_record_of_before_they_were_verified_is_read(store: CheckpointStore) -> None:
    release(store, saved := publish(store, MONDAY))
    [record] = Path(store.root, *KEY[:2], "releases").iterdir()
    record.rename(record.with_name(f"{record.stem[:-16]}.json"))
    release(store, saved)
    assert len(store.release_history(KEY[:2])) == 1


def test_a_release_after_the_clock_was_set_back_is_the_newest(store: CheckpointStore) -> None:
    first, second = publish(store, MONDAY, 1.0), publish(store, MONDAY, 2.0)
    release(store, first)
    [record] = Path(store.root, *KEY[:2], "releases").iterdir()
    record.rename(
        record.with_name(f"29991231T235959.999999{record.name[22:]}")
    )  # as if decided by a clock ahead of ours
    release(store, second)
    store.refuse(KEY[:2], {"checkpoint": "third"})
    assert (store.released(KEY[:2]) or {})["checkpoint"] == second.version
    decided = [each["entry"]["checkpoint"] for each in store.release_history(KEY[:2])]
    assert decided == [first.version, second.version, "third"]


def test_a_release_outlives_the_checkpoint_of_an_older_one(store: CheckpointStore) -> None:
    old, new = publish(store, MONDAY), publish(store, TUESDAY)
    release(store, old)
    for path in (day_folder(store) / old.version).iterdir():
        path.unlink()
    release(store, new)
    assert (store.load_released(KEY[:2]) or old).version == new.version
    with pytest.raises(LakeError, match=f"no version {old.version}"):
        store.load_released(KEY[:2], TUESDAY)


def state_file(root: Path, fingerprint: str = "f" * 16) -> StateFile:
    return StateFile(str(root), KEY, fingerprint, 0.0)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-3] + bytes([content[-3] ^ 64]) + content[-2:],
        lambda content: content.replace(b"done", b"dona"),
        lambda content: content.replace(b"layer", b"lager"),
        lambda content: content[:60],
        lambda content: b"",
        lambda content: b"\xff" * 50,
    ],
)
def test_a_damaged_state_of_a_training_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    state = state_file(tmp_path)
    arrays = {"layer": np.arange(8, dtype=np.float32).reshape(2, 4), "bias": np.ones(2, np.float32)}
    state.keep({"done": 3, "loss": 0.5}, arrays)
    position, kept = state.kept() or ({}, {})
    assert position == {"done": 3, "loss": 0.5}
    assert {name: array.tolist() for name, array in kept.items()} == {
        name: array.tolist() for name, array in arrays.items()
    }
    [file] = tmp_path.rglob("*.safetensors")
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(LakeError, match=rf"shop/click/distilled: .*{file.name}, is damaged.*the training starts anew"):
        state.kept()


def test_a_training_that_ends_leaves_the_state_of_one_beside_it(tmp_path: Path) -> None:
    of_monday, of_tuesday = state_file(tmp_path, "a" * 16), state_file(tmp_path, "b" * 16)
    for state in (of_monday, of_tuesday):
        state.keep({"done": 1}, {"w": np.zeros(1, np.float32)})
    of_tuesday.clear()
    of_tuesday.clear()
    assert of_tuesday.kept() is None
    assert of_monday.kept() is not None
    store = CheckpointStore(str(tmp_path))
    store.sweep()
    assert of_monday.kept() is not None
    make_old(store)
    store.sweep()
    assert of_monday.kept() is None


def test_what_killed_writers_left_is_swept_once_it_is_old_and_nothing_else(tmp_path: Path) -> None:
    left = [
        tmp_path / "checkpoints/shop/click" / f".released.json-{'0' * 32}",
        tmp_path / "reports/shop/day=2026-01-05" / f".report.html-{'1' * 32}",
        tmp_path / "simulated_state/shop" / f"3.safetensors.{'2' * 32}.unfinished",
        tmp_path / "scratch" / ("3" * 32) / "4.parquet",
    ]
    others = [tmp_path / ".gitignore", tmp_path / "reports/note-0123.txt", tmp_path / "3.unfinished"]
    for path in (*left, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    storage = Storage(str(tmp_path))
    # Their writers may be at work, whatever is asked.
    assert storage.sweep_unfinished(0) == 0
    for path in (*left, *others):
        os.utime(path, (0, 0))
    assert storage.sweep_unfinished() == len(left)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in others)
