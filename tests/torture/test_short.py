"""The short form of `make torture`: the whole corpus of bad logs, and a few trials of the parts that take seconds.

Two first commands at once are in tests/defs/test_home.py; a full disk is tried by `make torture` alone.
"""

from pathlib import Path

import pytest

from tests.torture.__main__ import parts, wrong
from tests.torture.bad_logs import BadLog, corpus, refusal
from tests.torture.runs import kill_runs

pytestmark = pytest.mark.slow
CORPUS = corpus()


def test_the_corpus_is_large_and_a_sound_day_is_accepted(tmp_path: Path) -> None:
    names = [bad.name for bad in CORPUS]
    assert len(set(names)) == len(names) >= 60
    assert refusal(tmp_path, lambda _: None) == ""


@pytest.mark.parametrize("bad", CORPUS, ids=[bad.name for bad in CORPUS])
def test_a_bad_log_is_refused_by_what_is_wrong_with_it(bad: BadLog, tmp_path: Path) -> None:
    words = refusal(tmp_path, bad.spoil)
    assert [word for word in bad.words if word not in words] == [], words


@pytest.mark.parametrize("part", ["damage", "kills", "races"])
def test_all_but_what_was_tried_is_nought(part: str, tmp_path: Path) -> None:
    found = parts(short=True)[part](tmp_path / "here")
    assert {what: wrong(figures) for what, figures in found.items() if wrong(figures)} == {}


def test_a_killed_run_leaves_what_is_whole_and_the_next_one_heals_it(ran: Path, tmp_path: Path) -> None:
    assert wrong(kill_runs(tmp_path / "here", 1, ran)) == {}
