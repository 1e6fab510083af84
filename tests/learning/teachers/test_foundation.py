"""The foundation teacher: learns every task, is calibrated, repeats itself, survives its checkpoint, labels rows."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from tests.fixtures.rows import CASCADE, impressions
from ukdsl_assets.declaration.architectures import MmoeArchitecture, MultiTaskArchitecture, SharedBottomArchitecture
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.declaration.teachers import FoundationTeacher
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.lake.checkpoints.arrays import put_back, taken_out
from ukdsl_assets.lake.checkpoints.interrupted import StateFile
from ukdsl_assets.learning.features.encoding import EMBEDDING, Encoder
from ukdsl_assets.learning.features.matrix import held_out
from ukdsl_assets.learning.metrics.calibration import calibration, normalized_entropy
from ukdsl_assets.learning.metrics.platt import apply_platt
from ukdsl_assets.learning.networks.build import build_network
from ukdsl_assets.learning.networks.foundation import Foundation
from ukdsl_assets.learning.networks.inputs import Side
from ukdsl_assets.learning.teachers import trained as teacher_models
from ukdsl_assets.learning.teachers.foundation import FittedFoundation, fit_foundation, predict_foundation

SMALL = SharedBottomArchitecture(embedding=8, hidden=(32, 16), tower=(8,))
TEACHER = FoundationTeacher(
    name="foundation", kind="foundation", stage="ranking", architecture=SMALL, epochs=3, learning_rate=0.01
)

ROWS = impressions(6000)


def fitted(teacher: FoundationTeacher = TEACHER, rows: pl.DataFrame | None = None) -> FittedFoundation:
    given = ROWS if rows is None else rows
    return fit_foundation(CASCADE, teacher, [lambda: given])


@pytest.fixture(scope="module")
def teacher() -> FittedFoundation:
    return fitted()


@pytest.mark.parametrize("architecture", [SMALL, MmoeArchitecture(kind="mmoe", experts=2)], ids=lambda a: a.kind)
def test_learns_every_task_from_all_features(architecture: MultiTaskArchitecture) -> None:
    held = impressions(seed=1)
    labels = predict_foundation(fitted(TEACHER.model_copy(update={"architecture": architecture})), held, threads=1)
    assert labels.columns == ["request_id", "candidate_id", "click_prediction", "conversion_prediction"]
    assert labels.select("request_id", "candidate_id").equals(held.select("request_id", "candidate_id"))
    assert normalized_entropy(labels["click_prediction"].to_numpy(), held["click"].to_numpy()) < 0.9
    # A conversion's label is its probability given a click, on rows that were not clicked too.
    assert labels["conversion_prediction"].to_numpy().mean() == pytest.approx(0.3, abs=0.1)


def test_each_task_is_calibrated_on_the_requests_that_were_left_out(teacher: FittedFoundation) -> None:
    left_out = ROWS.filter(held_out(ROWS["request_id"], TEACHER.seed))
    labels = predict_foundation(teacher, left_out, 1)
    for task in ("click", "conversion"):
        labelled = left_out[task].is_not_null()
        prediction = labels.filter(labelled)[f"{task}_prediction"].to_numpy()
        assert calibration(prediction, left_out[task].drop_nulls().to_numpy()) == pytest.approx(1, abs=1e-4)


def test_the_shipped_one_is_larger_than_every_student_that_it_teaches() -> None:
    cascade = read_cascade(SHIPPED / "simulated_last_stage.yaml")

    def size(network: torch.nn.Module) -> int:
        return sum(parameter.numel() for parameter in network.parameters())

    def sides(features: tuple[Feature, ...]) -> tuple[Side, Side]:
        encoder = Encoder(features)
        return Side(*encoder.count("request")), Side(*encoder.count("candidate"))

    shipped = cascade.teacher("foundation")
    assert shipped.kind == "foundation"
    request, candidate = sides(cascade.features_known_at(shipped.stage))
    teacher = size(Foundation(shipped.architecture, request, candidate, [0.1, 0.1], torch.Generator()))
    for student in cascade.students:
        assert student.architecture.kind != "lightgbm"
        request, candidate = sides(cascade.features_of(student))
        own = build_network(student.architecture, request, candidate, 2, 0.1, 0)
        assert teacher > 4 * size(own)
        assert shipped.architecture.embedding > student.architecture.embedding


def test_is_the_same_for_the_same_rows_and_another_for_another_seed(teacher: FittedFoundation) -> None:
    again, other = fitted(), fitted(TEACHER.model_copy(update={"seed": 1}))
    assert all(value.tobytes() == again.tensors[name].tobytes() for name, value in teacher.tensors.items())
    assert teacher.lines == again.lines != other.lines


def test_checkpoint_round_trip_predicts_the_same(teacher: FittedFoundation) -> None:
    values, arrays = taken_out(teacher_models.as_checkpoint(teacher))
    content = put_back(json.loads(json.dumps(values)), arrays)
    restored, rows = teacher_models.from_checkpoint(content, teacher.tensors, None), impressions(seed=2)
    assert teacher_models.predict(restored, rows, 1).equals(teacher_models.predict(teacher, rows, 1))
    assert teacher_models.tasks_of(restored) == ("click", "conversion")


def test_calibration_is_the_line_of_its_checkpoint(teacher: FittedFoundation) -> None:
    bare = FittedFoundation(
        teacher.tensors, teacher.encoder, teacher.architecture, teacher.tasks, dict.fromkeys(teacher.tasks, (1.0, 0.0))
    )
    rows = impressions(seed=2)
    before, after = (predict_foundation(each, rows, 1)["click_prediction"].to_numpy() for each in (bare, teacher))
    assert np.allclose(apply_platt(before, *teacher.lines["click"]), after, atol=1e-6)
    assert teacher.lines["click"] != (1.0, 0.0)


def test_unknown_ids_share_a_row_that_rare_ones_have_taught(teacher: FittedFoundation) -> None:
    rows = impressions(20)
    unknown = [predict_foundation(teacher, rows.with_columns(ad=pl.lit(ad)), 1) for ad in (999, 1000)]
    assert unknown[0].equals(unknown[1])
    rare = ROWS.with_columns(ad=pl.when(pl.int_range(pl.len()) % 4 == 0).then(pl.int_range(pl.len())).otherwise("ad"))
    taught = fitted(rows=rare)
    assert taught.encoder.size == teacher.encoder.size
    ad = [each.name for each in taught.encoder.of_ids].index("ad")
    moved, still = (each.tensors[EMBEDDING][ad] for each in (taught, teacher))
    assert np.abs(moved - still).max() > 0.01


def test_shards_are_read_one_at_a_time_and_teach_the_same_rows(teacher: FittedFoundation) -> None:
    parts = [ROWS.filter(pl.col("request_id") % 2 == part) for part in range(2)]
    both = fit_foundation(CASCADE, TEACHER, [lambda: parts[0], lambda: parts[1]])
    assert both.encoder.size == teacher.encoder.size
    one, two = (predict_foundation(each, ROWS, 1)["click_prediction"].to_numpy() for each in (teacher, both))
    assert np.corrcoef(one, two)[0, 1] > 0.9


def test_an_interrupted_training_ends_with_the_bytes_of_an_uninterrupted_one(
    teacher: FittedFoundation, tmp_path: Path
) -> None:
    def stop(done: int, *_: object) -> None:
        if done == 9:
            raise KeyboardInterrupt

    def fit(progress: Callable[..., None] | None = None) -> FittedFoundation:
        keeper = StateFile(str(tmp_path), ("shop", "foundation"), "fingerprint", every_seconds=0)
        return fit_foundation(CASCADE, TEACHER, [lambda: ROWS], progress=progress, keeper=keeper)

    with pytest.raises(KeyboardInterrupt):
        fit(stop)
    steps: list[int] = []
    resumed = fit(lambda done, *_: steps.append(done))
    assert steps[0] == 9
    assert all(value.tobytes() == resumed.tensors[name].tobytes() for name, value in teacher.tensors.items())
    assert resumed.lines == teacher.lines


def test_a_task_without_both_outcomes_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"task click: 0 positives among \d+ rows; expected both outcomes"):
        fitted(rows=ROWS.with_columns(click=pl.lit(0.0, pl.Float32)))


def test_a_null_number_is_refused_by_name() -> None:
    missing = ROWS.with_columns(pair_signals=pl.lit(None, pl.Array(pl.Float32, 8)))
    with pytest.raises(TrainingError, match=r"column `pair_signals` of impressions is null in (\d+) of \1 rows"):
        fitted(rows=missing)
