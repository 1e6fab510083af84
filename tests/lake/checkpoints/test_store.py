"""Checkpoints: content-addressed, published per day, verified on load; releases and their history."""

import datetime as dt
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.checkpoints.store import CheckpointStore

KEY = ("simulated_ads", "pre_ranking_click", "distilled")
MONDAY, TUESDAY, WEDNESDAY = (dt.date(2026, 1, day) for day in (5, 6, 7))


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(str(tmp_path / "models"))


def weights(scale: float = 1.0) -> Mapping[str, np.ndarray]:
    return {"tower.bias": np.zeros(2, np.float32), "tower.weight": np.arange(6, dtype=np.float32).reshape(2, 3) * scale}


def publish(store: CheckpointStore, day: dt.date, scale: float = 1.0) -> str:
    checkpoint = store.save(KEY, day, {"rows": 10}, weights(scale))
    store.publish(checkpoint)
    return checkpoint.version


def files_below(store: CheckpointStore) -> dict[str, float]:
    return {str(path): path.stat().st_mtime_ns for path in Path(store.root).rglob("*") if path.is_file()}


def contents_below(store: CheckpointStore) -> dict[str, bytes]:
    return {path: Path(path).read_bytes() for path in files_below(store)}


def make_old(store: CheckpointStore, hours: float) -> None:
    moment = time.time() - hours * 3600
    for path in files_below(store):
        os.utime(path, (moment, moment))


def test_tensors_and_metadata_come_back_as_saved(store: CheckpointStore) -> None:
    tensors = {
        **weights(),
        "transposed": np.arange(6).reshape(2, 3).T,
        "scalar": np.array(2.5),
        "mask": np.array([True]),
    }
    store.publish(store.save(KEY, MONDAY, {"loss": 0.5, "features": ("a", "b"), "none": None}, tensors))
    loaded = store.load(KEY, MONDAY)
    assert loaded.metadata == {"loss": 0.5, "features": ["a", "b"], "none": None}
    assert loaded.text is None
    assert loaded.tensors is not None
    assert loaded.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(loaded.tensors[name], tensor, strict=True)


def test_text_comes_back_as_saved(store: CheckpointStore) -> None:
    text = "tree\nversion=v4\r\nπ=3.14\n\n"
    store.publish(store.save(KEY, MONDAY, {}, text=text))
    loaded = store.load(KEY, MONDAY)
    assert (loaded.text, loaded.tensors) == (text, None)


def test_saving_the_same_again_gives_the_same_version_and_bytes_and_renews_only_the_facts(
    store: CheckpointStore,
) -> None:
    first = store.save(KEY, MONDAY, {"b": 1, "a": 2}, weights())
    before, contents = files_below(store), contents_below(store)
    again = store.save(KEY, MONDAY, {"a": 2, "b": 1}, dict(reversed(list(weights().items()))))
    assert again.version == first.version
    assert contents_below(store) == contents
    assert [Path(path).name for path, age in files_below(store).items() if age != before[path]] == ["checkpoint.json"]


def test_other_weights_metadata_or_kind_are_other_versions(store: CheckpointStore) -> None:
    saved = [
        store.save(KEY, MONDAY, {"rows": 1}, weights()),
        store.save(KEY, MONDAY, {"rows": 2}, weights()),
        store.save(KEY, MONDAY, {"rows": 1}, weights(2.0)),
        store.save(KEY, MONDAY, {"rows": 1}, text=""),
        store.save(KEY, MONDAY, {"rows": 1}),
    ]
    assert len({checkpoint.version for checkpoint in saved}) == 5


def test_a_saved_checkpoint_is_found_by_day_only_once_published(store: CheckpointStore) -> None:
    checkpoint = store.save(KEY, MONDAY, {}, weights())
    assert store.days(KEY) == []
    with pytest.raises(
        LakeError, match=r"day 2026-01-05: no checkpoint is published .* ukdsl run simulated_ads --days 2026-01-05"
    ):
        store.load(KEY, MONDAY)
    assert store.load(KEY, MONDAY, checkpoint.version).version == checkpoint.version
    store.publish(checkpoint)
    assert store.days(KEY) == [MONDAY]
    assert store.load(KEY, MONDAY).version == checkpoint.version


def test_publishing_replaces_the_days_checkpoint_and_keeps_the_old_version(store: CheckpointStore) -> None:
    old, new = publish(store, MONDAY), publish(store, MONDAY, 2.0)
    assert store.load(KEY, MONDAY).version == new
    assert store.load(KEY, MONDAY, old).version == old
    with pytest.raises(LakeError, match="no version 0123"):
        store.load(KEY, MONDAY, "0123")


def test_the_newest_before_is_strictly_before(store: CheckpointStore) -> None:
    assert store.newest_before(KEY, MONDAY) is None
    publish(store, TUESDAY)
    publish(store, MONDAY)
    assert store.days(KEY) == [MONDAY, TUESDAY]
    assert store.newest_before(KEY, MONDAY) is None
    assert store.newest_before(KEY, TUESDAY) == MONDAY
    assert store.newest_before(KEY, WEDNESDAY + dt.timedelta(days=30)) == TUESDAY
    assert store.days((*KEY[:2], "baseline")) == []


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    store = CheckpointStore(str(tmp_path_factory.mktemp("models")))
    version = publish(store, MONDAY)
    file = data.draw(st.sampled_from(sorted(Path(store.root).rglob(f"{version}/*"))))
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(content)
    with pytest.raises(LakeError, match="not what was saved"):
        store.load(KEY, MONDAY)
    assert publish(store, MONDAY) == version, "saving again mends it"
    assert store.load(KEY, MONDAY).version == version


@pytest.mark.parametrize("missing", ["weights.safetensors", "checkpoint.json"])
def test_a_missing_file_is_refused(store: CheckpointStore, missing: str) -> None:
    version = publish(store, MONDAY)
    next(Path(store.root).rglob(f"{version}/{missing}")).unlink()
    with pytest.raises(LakeError, match="not what was saved"):
        store.load(KEY, MONDAY)


@pytest.mark.parametrize("metadata", [{"loss": float("nan")}, {"day": MONDAY}, {"rows": np.int64(3)}, {"x": {1, 2}}])
def test_metadata_that_json_cannot_hold_is_refused(store: CheckpointStore, metadata: dict[str, object]) -> None:
    with pytest.raises(LakeError, match="JSON cannot hold"):
        store.save(KEY, MONDAY, metadata, weights())
    with pytest.raises(LakeError, match="JSON cannot hold"):
        store.release(KEY, metadata)
    assert files_below(store) == {}


def test_tensors_and_text_together_are_refused(store: CheckpointStore) -> None:
    with pytest.raises(LakeError, match="both tensors and text"):
        store.save(KEY, MONDAY, {}, weights(), text="tree")


def test_no_temporary_files_stay_and_the_layout_is_as_documented(store: CheckpointStore) -> None:
    version = publish(store, MONDAY)
    entry = {"day": "2026-01-05", "checkpoint": version}
    store.release(KEY, entry)
    below = sorted(str(path.relative_to(store.root)) for path in Path(store.root).rglob("*") if path.is_file())
    model = "/".join(KEY)
    release = next(path for path in below if "/releases/" in path)
    assert below == [
        f"{model}/checkpoints/day=2026-01-05/{version}/checkpoint.json",
        f"{model}/checkpoints/day=2026-01-05/{version}/weights.safetensors",
        f"{model}/checkpoints/day=2026-01-05/current.json",
        f"{model}/released.json",
        release,
    ]
    assert json.loads(Path(store.root, model, "released.json").read_text()) == entry


def test_a_sweep_removes_old_versions_that_are_neither_current_nor_named_by_a_decision(store: CheckpointStore) -> None:
    student, teacher = KEY[:2], ("simulated_ads", "ads_teacher")
    released, refused, forgotten, current = (publish(store, MONDAY, scale) for scale in (1.0, 2.0, 3.0, 4.0))
    store.release(student, {"day": str(MONDAY), "checkpoint": released})
    store.refuse(student, {"day": str(MONDAY), "checkpoint": refused, "reasons": ["calibration"]})
    never_published = store.save(KEY, TUESDAY, {}, weights(5.0)).version
    of_teacher = [store.save(teacher, MONDAY, {"number": number}, text="tree").version for number in range(3)]
    make_old(store, 25)
    fresh = store.save(KEY, TUESDAY, {}, weights(6.0)).version
    again = store.save(teacher, MONDAY, {"number": 2}, text="tree").version

    assert store.sweep(older_than_hours=26) == {}
    assert store.sweep() == {"simulated_ads/ads_teacher": 2, "/".join(KEY): 2}
    assert store.sweep() == {}
    for version in (released, refused, current):
        assert store.load(KEY, MONDAY, version).version == version
    assert store.load(KEY, MONDAY).version == current
    assert store.load(KEY, TUESDAY, fresh).version == fresh
    assert store.load(teacher, MONDAY, again).version == again == of_teacher[2]
    for day, version in ((MONDAY, forgotten), (TUESDAY, never_published)):
        with pytest.raises(LakeError, match=f"no version {version}"):
            store.load(KEY, day, version)
    assert store.released(student) == {"day": str(MONDAY), "checkpoint": released}
    assert publish(store, MONDAY, 3.0) == forgotten, "what was swept can be made again"


def test_the_released_checkpoint_is_loaded_and_that_of_thenewest_release_before_a_day(store: CheckpointStore) -> None:
    student = KEY[:2]
    assert store.load_released(student) is None
    assert store.load_released(student, WEDNESDAY) is None
    first, again, tuesday = publish(store, MONDAY), publish(store, MONDAY, 2.0), publish(store, TUESDAY, 3.0)
    # Tuesday is decided first, Monday twice, and Wednesday is refused.
    for day, version in ((TUESDAY, tuesday), (MONDAY, first), (MONDAY, again)):
        store.release(student, {"day": str(day), "arm": KEY[2], "checkpoint": version})
    refused = publish(store, WEDNESDAY, 4.0)
    store.refuse(student, {"day": str(WEDNESDAY), "arm": KEY[2], "checkpoint": refused})
    found = [store.load_released(student, MONDAY + dt.timedelta(days=count)) for count in range(5)]
    assert [each and (each.day, each.version) for each in found] == [
        None,
        (MONDAY, again),
        *[(TUESDAY, tuesday)] * 3,
    ]
    released = store.load_released(student)
    assert released is not None
    assert (released.key, released.version) == (KEY, tuesday)
    assert released.tensors is not None
    assert np.array_equal(released.tensors["tower.weight"], weights(3.0)["tower.weight"])


def test_facts_are_those_of_the_published_version_and_none_where_none_is(store: CheckpointStore) -> None:
    assert store.facts(KEY, MONDAY) == {}
    store.publish(store.save(KEY, MONDAY, {"labels": "old"}, weights(1.0)))
    store.publish(store.save(KEY, MONDAY, {"labels": "as seen"}, weights(2.0)))
    store.save(KEY, MONDAY, {"labels": "not published"}, weights(3.0))
    assert store.facts(KEY, MONDAY) == {"labels": "as seen"}
    assert store.facts(KEY, TUESDAY) == {}


def test_a_sweep_takes_the_rest_of_a_killed_save_and_an_empty_store_has_none(store: CheckpointStore) -> None:
    assert store.sweep() == {}
    version = store.save(KEY, MONDAY, {}, weights()).version
    folder = next(Path(store.root).rglob(version))
    (folder / "checkpoint.json").unlink()
    make_old(store, 25)
    assert store.sweep() == {"/".join(KEY): 1}
    assert not folder.exists()
