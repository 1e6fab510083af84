"""A release is taken back and given back by people, and a day that is made again stays as they left it."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.pipeline.test_release import DAY, KEY, STUDENT, made
from ukdsl_assets.errors import LakeError, ReleaseError
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.pipeline.release import decide
from ukdsl_assets.pipeline.withdrawal import serve_again, withdraw
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

DAYS = [DAY + timedelta(days=number) for number in range(3)]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(Settings(lake=str(tmp_path)))


def release_days(workspace: Workspace) -> list[str]:
    """Three days in a row that were released; their checkpoints."""
    versions = []
    for each in DAYS:
        day, version = made(workspace, each)
        assert decide(day, STUDENT).outcome == "released"
        versions.append(version)
    return versions


def serving(store: CheckpointStore, before: date | None = None) -> str | None:
    loaded = store.load_released(KEY, before)
    return None if loaded is None else loaded.version


def test_what_was_released_before_serves_again_and_the_history_says_by_whom_and_why(workspace: Workspace) -> None:
    store, versions = workspace.checkpoints, release_days(workspace)
    before = store.release_history(KEY)
    done = withdraw(store, KEY, "anna", " clicks\n fell ")
    assert [each["day"] for each in done.withdrawn] == [str(DAYS[2])]
    assert done.serves is not None
    assert done.serves["checkpoint"] == versions[1]
    assert serving(store) == serving(store, DAYS[2] + timedelta(days=1)) == versions[1]
    # An earlier day made again is still held against what served before it.
    assert serving(store, DAYS[1]) == versions[0]
    *kept, last = store.release_history(KEY)
    assert kept == before
    assert last["outcome"] == "withdrawn"
    assert (last["entry"]["by"], last["entry"]["reasons"]) == ("anna", ["clicks fell"])
    assert last["entry"]["checkpoint"] == versions[2]


def test_a_withdrawn_day_that_is_made_again_stays_withdrawn_and_a_newer_day_is_released(workspace: Workspace) -> None:
    store, versions = workspace.checkpoints, release_days(workspace)
    withdraw(store, KEY, "anna", "clicks fell")
    again, version = made(workspace, DAYS[2])
    for _ in range(2):
        decision = decide(again, STUDENT)
        assert (decision.outcome, decision.reasons) == ("withdrawn", ["clicks fell"])
        assert decision.verdict.passed
        assert decision.message == "passed, and stays withdrawn, as anna said: clicks fell"
    assert serving(store) == versions[1]
    # The same checkpoint is not recorded anew each time.
    assert [each["outcome"] for each in store.release_history(KEY)] == ["released"] * 3 + ["withdrawn"]
    newer, newest = made(workspace, DAYS[2] + timedelta(days=1))
    assert decide(newer, STUDENT).outcome == "released"
    assert serving(store) == newest
    assert version == versions[2]


def test_another_checkpoint_of_a_withdrawn_day_is_the_one_that_is_given_back(workspace: Workspace) -> None:
    store, _ = workspace.checkpoints, release_days(workspace)
    withdraw(store, KEY, "anna", "clicks fell")
    mended = store.save((*KEY, "distilled"), DAYS[2], {"of": "mended logs"}, text="another")
    day, _ = made(workspace, DAYS[2], of=mended.version)
    store.publish(mended)
    assert decide(day, STUDENT).outcome == "withdrawn"
    done = serve_again(store, KEY, DAYS[2], "bert", "the logs were mended")
    assert done.given_back is not None
    assert done.given_back["given_back"] == {"by": "bert", "reason": "the logs were mended"}
    assert serving(store) == mended.version
    # Made again it is released as ever.
    assert decide(day, STUDENT).outcome == "released"


def test_a_day_serves_again_with_all_newer_ones_withdrawn_and_back(workspace: Workspace) -> None:
    store, versions = workspace.checkpoints, release_days(workspace)
    done = serve_again(store, KEY, DAYS[0], "anna", "clicks fell")
    assert [each["day"] for each in done.withdrawn] == [str(DAYS[1]), str(DAYS[2])]
    assert serving(store) == versions[0]
    assert not serve_again(store, KEY, DAYS[0], "anna", "once more").withdrawn
    serve_again(store, KEY, DAYS[1], "anna", "it was the second one")
    assert serving(store) == versions[1]
    assert [each["day"] for each in store.withdrawn(KEY)] == [str(DAYS[2])]
    assert store.sweep(0) == {}


def test_the_only_release_may_be_withdrawn_and_then_nothing_is_released(workspace: Workspace) -> None:
    store = workspace.checkpoints
    day, version = made(workspace, DAY)
    decide(day, STUDENT)
    assert withdraw(store, KEY, "anna", "clicks fell").serves is None
    assert (store.released(KEY), store.newest_release(KEY)) == (None, None)
    with pytest.raises(ReleaseError, match="nothing is released that could be withdrawn"):
        withdraw(store, KEY, "anna", "clicks fell")
    serve_again(store, KEY, DAY, "anna", "it was not the model")
    assert serving(store) == version


def test_nothing_moves_without_a_reason_a_release_or_a_checkpoint_to_serve(workspace: Workspace) -> None:
    store, _ = workspace.checkpoints, release_days(workspace)
    history = store.release_history(KEY)
    for by, reason in (("", "why"), ("anna", " \n")):
        with pytest.raises(ReleaseError, match="saw nothing"):
            withdraw(store, KEY, by, reason)
    with pytest.raises(ReleaseError, match=r"2026-01-09 was never released; .*2026-01-05, 2026-01-06, 2026-01-07"):
        serve_again(store, KEY, date(2026, 1, 9), "anna", "why")
    for model in Path(store.root).glob(f"**/day={DAYS[1]}/*/*.safetensors"):
        model.unlink()
    for move in (
        lambda: withdraw(store, KEY, "anna", "why"),
        lambda: serve_again(store, KEY, DAYS[1], "anna", "why"),
    ):
        with pytest.raises(LakeError):
            move()
    assert store.release_history(KEY) == history
    assert (store.released(KEY) or {})["day"] == str(DAYS[2])


def test_a_withdrawal_that_was_stopped_before_the_pointer_moved_counts(workspace: Workspace) -> None:
    store, versions = workspace.checkpoints, release_days(workspace)
    pointer = next(Path(store.root).glob("**/released.json"))
    served = pointer.read_bytes()
    withdraw(store, KEY, "anna", "clicks fell")
    pointer.write_bytes(served)
    assert serving(store) == versions[1]
