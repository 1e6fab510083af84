"""`ukdsl export` of a released student, and of a day's baseline."""

import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.command_line import Command
from tests.fixtures.released import published, release
from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.student import ARMS
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.serving.onnx_file import OnnxStudent
from ukdsl_assets.serving.released import load_student

ROWS = training_rows(60)
DAY = CASCADE.first_day


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    for arm in ARMS:
        fitted = fit_student(Training.of(CASCADE, STUDENT, arm, ROWS)).student
        saved = published(folder, CASCADE, STUDENT.name, fitted, DAY, arm)
        if arm == "distilled":
            release(folder, saved)
    return folder


def test_the_released_student_is_written_and_told(lake: Path, tmp_path: Path, ukdsl: Command) -> None:
    target = tmp_path / "student.onnx"
    done = ukdsl("export", CASCADE.name, STUDENT.name, "--output", str(target), UKDSL_LAKE=lake)
    assert done.returncode == 0, done.stderr
    student, file = load_student(CASCADE, STUDENT.name, lake=lake), OnnxStudent.load(target)
    assert (file.metadata.cascade, file.metadata.student) == (CASCADE.name, STUDENT.name)
    assert (file.metadata.day, file.metadata.version) == (str(student.day), student.version)
    rows = ROWS.filter(domain="CD")
    found = file.score(file.columns_of_arrow(rows.to_arrow())).heads[student.heads[-1]]
    np.testing.assert_allclose(found, student.score(rows)["prediction"].to_numpy(), rtol=1e-4)
    assert student.version in done.stdout
    assert f"differ by at most {file.metadata.difference:.1g}" in " ".join(done.stdout.split())
    assert max(len(line) for line in done.stdout.splitlines() if line != str(target)) <= 80
    assert [path.name for path in tmp_path.iterdir()] == ["student.onnx"]


def test_a_days_baseline_is_written_where_it_is_asked_for(lake: Path, tmp_path: Path, ukdsl: Command) -> None:
    target = tmp_path / "baseline.onnx"
    asked = ("--output", str(target), "--day", str(DAY), "--arm", "baseline")
    done = ukdsl("export", CASCADE.name, STUDENT.name, *asked, UKDSL_LAKE=lake)
    assert done.returncode == 0, done.stderr
    metadata = OnnxStudent.load(target).metadata
    assert (metadata.arm, metadata.heads) == ("baseline", ("impression",))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("--output", "."), "is a folder; name a file in it"),
        (("--output", "student.bin"), "expected a name that ends in .onnx"),
        (("--output", "student.onnx", "--arm", "baseline"), "a baseline is never released"),
        (("--output", "student.onnx", "--day", str(date(2026, 1, 9))), "no checkpoint is published"),
    ],
)
def test_wrong_arguments_are_told_and_nothing_is_written(
    lake: Path, tmp_path: Path, ukdsl: Command, more: tuple[str, ...], expected: str
) -> None:
    place = [str(tmp_path / word) if word.startswith("student.") else word for word in more]
    done = ukdsl("export", CASCADE.name, STUDENT.name, *place, UKDSL_LAKE=lake)
    assert done.returncode == 2
    assert expected in " ".join(done.stderr.split())
    assert not list(tmp_path.iterdir())


def test_without_the_libraries_the_extra_is_named(
    lake: Path, tmp_path: Path, ukdsl: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in ("onnx", "onnxruntime"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, library, None)
            target = tmp_path / "student.onnx"
            done = ukdsl("export", CASCADE.name, STUDENT.name, "--output", str(target), UKDSL_LAKE=lake)
        assert done.returncode == 2
        assert f"{library}, which" in done.stderr
        assert "pip install 'ukdsl-assets[serve]'" in " ".join(done.stderr.split())
        assert not list(tmp_path.iterdir())
