"""A kept state of training is found only by a training of the same input and code."""

from typing import Any

import pytest

import ukdsl_assets.pipeline.fingerprint
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.declaration.release import Release
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.learning.code_version import code_version
from ukdsl_assets.pipeline.students import fingerprint

CASCADE = read_cascade(SHIPPED / "simulated_ads.yaml")
STUDENT = CASCADE.student("pre_ranking_click")
LINEAGE = {"2026-01-01": "v1"}


def of(cascade: Cascade = CASCADE, student: Student = STUDENT, **changes: Any) -> str:
    given = {"arm": "distilled", "lineage": LINEAGE, "warm_start": "2025-12-31/a"} | changes
    return fingerprint(cascade, student, **given)


def test_the_same_training_finds_its_state_again() -> None:
    assert of() == of(read_cascade(SHIPPED / "simulated_ads.yaml"))


def test_whatever_a_training_depends_on_changes_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = [f.model_copy(update={"hash_buckets": 64} if f.name == "ad" else {}) for f in CASCADE.features]
    others = [
        of(CASCADE.model_copy(update={"features": tuple(hashed)})),
        of(student=STUDENT.model_copy(update={"learning_rate": 0.1})),
        of(arm="baseline"),
        of(lineage={"2026-01-01": "v2"}),
        of(warm_start=None),
    ]
    monkeypatch.setattr(ukdsl_assets.pipeline.fingerprint, "code_version", lambda: "another")
    others.append(of())
    monkeypatch.undo()
    assert len({of(), *others}) == 1 + len(others)


def test_a_feature_that_the_student_does_not_read_changes_nothing() -> None:
    dearer = [f.model_copy(update={"cost": 9.0} if f.name == "pair_signals" else {}) for f in CASCADE.features]
    assert of(CASCADE.model_copy(update={"features": tuple(dearer)})) == of()


def test_what_decides_on_a_release_changes_no_training() -> None:
    decided = {"release": Release(margin=0.1, decided_by="next_day"), "accept": ("teacher_better_than_constant",)}
    assert of(student=STUDENT.model_copy(update=decided)) == of()


def test_the_version_of_the_code_is_a_hash() -> None:
    assert len(code_version()) == 16
    assert int(code_version(), 16) > 0
