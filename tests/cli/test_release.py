"""`ukdsl release` tells what serves and the history, and takes a release back."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from tests.cli.test_status import opened
from tests.fixtures.command_line import Command, at
from tests.fixtures.published_day import publish_day
from tests.fixtures.shop import DAY

STUDENT = ("shop", "pre_ranking_click")
NEXT = DAY + timedelta(days=1)


@pytest.fixture
def released(shop: Path) -> Path:
    """A shop of two days, both released."""
    workspace, cascade = opened(shop)
    publish_day(workspace, cascade)
    store = workspace.checkpoints
    for day in (DAY, NEXT):
        saved = store.save((*STUDENT, "distilled"), day, {"of": str(day)}, text="model")
        store.publish(saved)
        store.release(STUDENT, {"day": str(day), "arm": "distilled", "checkpoint": saved.version})
    return shop


def test_a_release_is_withdrawn_told_and_given_back(released: Path, ukdsl: Command) -> None:
    said = ("--reason", "clicks fell by 3% online", "--by", "anna")
    done = ukdsl("release", *STUDENT, "--withdraw", *said, **at(released))
    assert done.returncode == 0, done.stderr
    assert "withdrawn: 2026-03-02, checkpoint" in done.stdout
    assert "pre_ranking_click: serves 2026-03-01, checkpoint" in done.stdout
    status = ukdsl("status", "shop", **at(released)).stdout
    assert "Withdrawn: 2026-03-02, by anna: clicks fell by 3% online" in status
    (student,) = json.loads(ukdsl("status", "shop", "--json", **at(released)).stdout)[0]["students"]
    assert student["serves"]["day"] == str(DAY)
    (withdrawn,) = student["withdrawn"]
    assert (withdrawn["day"], withdrawn["by"]) == (str(NEXT), "anna")
    told = ukdsl("release", *STUDENT, **at(released)).stdout
    assert told.count("Released at") == 2
    assert "Withdrawn at" in told
    back = ukdsl("release", *STUDENT, "--to", str(NEXT), "--reason", "the test was wrong", **at(released))
    assert "pre_ranking_click: serves 2026-03-02, checkpoint" in back.stdout
    assert "Withdrawn" not in ukdsl("status", "shop", **at(released)).stdout
    assert max(map(len, (done.stdout + status + told + back.stdout).splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--withdraw",), "--reason is missing"),
        (("--withdraw", "--to", "2026-03-01", "--reason", "why"), "exclude each other"),
        (("--reason", "why"), "give --withdraw or --to DAY too"),
        (("--to", "2026-03-03", "--reason", "why"), "was never released"),
        (("--to", "yesterday", "--reason", "why"), "expected one day"),
    ],
)
def test_what_cannot_be_done_is_refused_with_2(
    released: Path, ukdsl: Command, arguments: tuple[str, ...], told: str
) -> None:
    before = ukdsl("release", *STUDENT, **at(released)).stdout
    refused = ukdsl("release", *STUDENT, *arguments, **at(released))
    assert refused.returncode == 2
    assert told in " ".join(refused.stderr.replace("│", " ").split())
    assert ukdsl("release", *STUDENT, **at(released)).stdout == before
