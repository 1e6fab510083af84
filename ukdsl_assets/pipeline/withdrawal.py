"""A release that people take back, or give back: which days, by whom and why, as the history of releases keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from ukdsl_assets.errors import ReleaseError
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.pipeline.workspace import Table

# Released days that a message names.
SHOWN_DAYS = 10


@dataclass(frozen=True)
class Withdrawal:
    """What was done: the entries that were withdrawn, by day, the one given back, and what serves now (None: none)."""

    withdrawn: list[dict[str, Any]]
    given_back: dict[str, Any] | None
    serves: dict[str, Any] | None


def withdraw(store: CheckpointStore, key: Table, by: str, reason: str) -> Withdrawal:
    """Withdraw what serves, so that what was released before it serves again, or nothing.

    Args:
        key: cascade and student.
        by, reason: who says so and why, for the history; white space is single.

    Raises:
        ReleaseError: nothing is released, or `by` or `reason` is empty.
        LakeError: what would serve cannot be loaded, or a record is damaged. Nothing is changed.
    """
    said = _said(by, reason)
    releases = store.releases(key)
    if not releases:
        raise ReleaseError(
            f"{'/'.join(key)}: nothing is released that could be withdrawn; make a day first: ukdsl run {key[0]}"
        )
    *before, serving = releases
    if before:
        _refuse_lost(store, key, before[-1])
    return _moved(store, key, [serving], None, said)


def serve_again(store: CheckpointStore, key: Table, day: date, by: str, reason: str) -> Withdrawal:
    """Have the checkpoint of a day serve that was released once: all newer releases are withdrawn.

    Where the day itself is withdrawn, it is released again. What serves already is left as it is.

    Args:
        key, by, reason: as of `withdraw`.

    Raises:
        ReleaseError: the day was never released, or `by` or `reason` is empty.
        LakeError: its checkpoint cannot be loaded, or a record is damaged. Nothing is changed.
    """
    said = _said(by, reason)
    releases, withdrawn = store.releases(key), store.withdrawn(key)
    wanted = next((each for each in [*releases, *withdrawn] if each["day"] == str(day)), None)
    if wanted is None:
        days = sorted(each["day"] for each in [*releases, *withdrawn])
        left = f"{len(days) - SHOWN_DAYS} more before, " if len(days) > SHOWN_DAYS else ""
        raise ReleaseError(
            f"{'/'.join(key)}: the checkpoint of {day} was never released; days that were: "
            f"{left}{', '.join(days[-SHOWN_DAYS:]) or '(none)'}. A student that a gate refused serves where it "
            "accepts the gate by name (`accept`) and the day is run again."
        )
    _refuse_lost(store, key, wanted)
    newer = [each for each in releases if each["day"] > str(day)]
    return _moved(store, key, newer, wanted if wanted in withdrawn else None, said)


def _said(by: str, reason: str) -> dict[str, Any]:
    who, why = (" ".join(text.split()) for text in (by, reason))
    if not who or not why:
        raise ReleaseError(
            f"{'by' if not who else 'reason'}: saw nothing, expected some words: whoever reads the history asks who "
            "withdrew a release, and why (--by, --reason)"
        )
    return {"by": who, "reasons": [why]}


def _moved(
    store: CheckpointStore,
    key: Table,
    newer: list[dict[str, Any]],
    given_back: Mapping[str, Any] | None,
    said: dict[str, Any],
) -> Withdrawal:
    """Record it all. The newest goes last, so that until then what served before serves."""
    again = None
    if given_back is not None:
        again = {name: value for name, value in given_back.items() if name not in ("by", "reasons")}
        again["given_back"] = {"by": said["by"], "reason": said["reasons"][0]}
        store.release(key, again)
    withdrawn = [{**_plain(each), **said} for each in newer]
    for each in withdrawn:
        store.withdraw(key, each)
    return Withdrawal(withdrawn, again, store.released(key))


def _plain(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "given_back"}


def _refuse_lost(store: CheckpointStore, key: Table, entry: Mapping[str, Any]) -> None:
    """Read the checkpoint that is to serve, before anything is withdrawn."""
    store.load((*key, entry["arm"]), date.fromisoformat(entry["day"]), entry["checkpoint"])
