"""Lists of ids and hashed ids, from frames to trained students."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.declaration.architectures import (
    Architecture,
    DcnV2Architecture,
    DeepFmArchitecture,
    LightGbmArchitecture,
    MlpArchitecture,
    TwoTowerArchitecture,
)
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.frames.splits import shard_of
from ukdsl_assets.learning.features.encoding import Encoder
from ukdsl_assets.learning.networks.embedding_rows import EmbeddingRows, look_up
from ukdsl_assets.learning.networks.pooling import pooled
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.serving.files import score_files

NETWORKS: list[Architecture] = [
    TwoTowerArchitecture(hidden=8, output=4),
    MlpArchitecture(kind="mlp", hidden=(8,)),
    DcnV2Architecture(kind="dcn_v2", hidden=(8,)),
    DeepFmArchitecture(kind="deepfm", hidden=(8,)),
]
TAGS = Feature(name="tags", kind="multi_valued", side="candidate")
HASHED = Feature(name="word", kind="categorical", values="string", side="candidate", hash_buckets=8)
LISTS = st.lists(st.lists(st.integers(0, 5), max_size=4), min_size=1, max_size=6)


def declared(**kinds: Mapping[str, object]) -> Cascade:
    """The shipped cascade with some features declared otherwise."""
    features = tuple(f.model_copy(update=kinds.get(f.name, {})) for f in CASCADE.features)
    return CASCADE.model_copy(update={"features": features})


def fitted(cascade: Cascade, rows: pl.DataFrame, **changes: object) -> FittedStudent:
    student = STUDENT.model_copy(update={"requests_per_batch": 16, "learning_rate": 0.01} | changes)
    return fit_student(Training.of(cascade, student, "distilled", rows)).student


def same(first: FittedStudent, second: FittedStudent) -> bool:
    return all(value.tobytes() == second.tensors[name].tobytes() for name, value in first.tensors.items())


@pytest.mark.parametrize("network", NETWORKS, ids=lambda each: each.kind)
def test_lists_of_one_id_are_what_a_categorical_feature_is(network: Architecture) -> None:
    rows, held = training_rows(60), training_rows(20, seed=1)
    names = ("ad", "user_segment")
    in_lists = [each.with_columns(pl.concat_list(name) for name in names) for each in (rows, held)]
    plain = fitted(CASCADE, rows, architecture=network)
    for pooling in ("mean", "sum"):
        lists = declared(**{name: {"kind": "multi_valued", "pooling": pooling} for name in names})
        student = fitted(lists, in_lists[0], architecture=network)
        assert same(plain, student)
        for head, probability in predict_student(student, in_lists[1]).items():
            assert np.array_equal(probability, predict_student(plain, held)[head])


def with_tags(rows: pl.DataFrame, seed: int = 0) -> tuple[pl.DataFrame, Cascade]:
    """Ads as lists of up to four ids, some of them empty, by which alone the target is told."""
    random = np.random.default_rng((3, seed))
    lists = [random.integers(0, 12, size).tolist() for size in random.integers(0, 5, len(rows))]
    effect = np.random.default_rng(4).normal(0, 1, 12)
    logit = np.array([-1.5 + sum(effect[each]) for each in lists])
    target = 1 / (1 + np.exp(-logit))
    label = np.where(rows["domain"] == "IMP", random.random(len(rows)) < target, target)
    told = rows.with_columns(ad=pl.Series(lists, dtype=pl.List(pl.Int64)), target=pl.Series(label.astype(np.float32)))
    return told, declared(ad={"kind": "multi_valued", "pooling": "sum"})


def test_a_student_learns_from_lists_and_the_order_inside_one_changes_no_byte() -> None:
    rows, cascade = with_tags(training_rows(300))
    held, _ = with_tags(training_rows(100, seed=1), 1)
    shuffled = rows.with_columns(pl.col("ad").list.reverse())
    student, again = (
        fitted(cascade, each, epochs=4, architecture=DeepFmArchitecture(kind="deepfm")) for each in (rows, shuffled)
    )
    assert same(student, again)
    considered = (held["domain"] == "CD").to_numpy()
    serving = predict_student(student, held)["consideration"]
    permuted = predict_student(student, held.with_columns(pl.col("ad").list.reverse()))["consideration"]
    assert np.array_equal(serving, permuted)
    assert np.corrcoef(serving[considered], held["target"].to_numpy()[considered])[0, 1] > 0.9


@given(LISTS, st.booleans())
def test_pooling_is_the_mean_or_sum_of_a_lists_embeddings(lists: list[list[int]], mean: bool) -> None:
    frame = pl.DataFrame({"tags": pl.Series(lists, dtype=pl.List(pl.Int64))}).with_row_index("request_id")
    encoder = Encoder((TAGS.model_copy(update={"pooling": "mean" if mean else "sum"}),)).extended(frame)
    side = encoder.encode(frame).candidate
    table, ids = torch.randn(encoder.size, 3), torch.from_numpy(side.ids)
    numbers = torch.ones(len(lists), 1)
    found = pooled(look_up(table, ids, numbers), ids, side.lists, 3)
    assert found.shape == (len(lists), 4)
    assert (found[:, 3] == 1).all()
    known, rows = encoder.vocabularies["tags"]
    row_of = dict(zip(known.to_list(), rows.tolist(), strict=True))
    for each, seen in zip(lists, found[:, :3], strict=True):
        of_ids = table[[row_of[tag] for tag in each]].reshape(-1, 3)
        expected = of_ids.sum(0) / (max(len(each), 1) if mean else 1)
        assert torch.allclose(seen, expected, atol=1e-5)


def test_what_no_list_names_is_not_stepped() -> None:
    start = torch.randn(6, 2)
    rows = EmbeddingRows(start.clone())
    ids, gradient = torch.tensor([[-1, 4], [2, 4]], dtype=torch.int32), torch.ones(2, 4)
    assert (look_up(rows.table, ids, torch.empty(2, 0))[0, :2] == 0).all()
    twice = EmbeddingRows(start.clone())
    rows.step([(ids, gradient)], 0.1)
    twice._torch_step([(ids, gradient)], *[0.1 * (1 - 0.999) ** 0.5 / (1 - 0.9), 1e-8 * (1 - 0.999) ** 0.5])
    moved = (rows.table != start).any(1)
    assert moved.tolist() == [False, False, True, False, True, False]
    assert torch.allclose(rows.table, twice.table)


def test_null_and_empty_lists_have_no_id_and_an_id_of_later_is_unknown() -> None:
    frame = pl.DataFrame({"tags": pl.Series([[1, 2], [], None, [9, None]], dtype=pl.List(pl.Int64))})
    frame = frame.with_row_index("request_id")
    encoder = Encoder((TAGS,)).extended(frame.head(3))
    assert encoder.encode(frame).candidate.ids.tolist() == [[1, 2], [-1, -1], [-1, -1], [0, 0]]
    assert encoder.encode(frame[1:3]).candidate.ids.shape == (2, 0)


@settings(max_examples=20)
@given(st.lists(st.none() | st.text(max_size=5), min_size=1, max_size=20))
def test_hashed_ids_need_no_vocabulary_and_keep_their_bucket(words: list[str | None]) -> None:
    features = (TAGS, HASHED)
    frame = pl.DataFrame({"word": words}, schema={"word": pl.String}).with_row_index("request_id")
    frame = frame.with_columns(tags=pl.lit([], pl.List(pl.Int64)))
    encoder = Encoder(features).extended(frame)
    assert "word" not in encoder.vocabularies
    assert encoder.size == 2 + 8
    rows = encoder.encode(frame).candidate.ids[:, -1]
    expected = [
        1 if word is None else 2 + bucket for word, bucket in zip(words, shard_of(frame["word"], 8), strict=True)
    ]
    assert rows.tolist() == expected
    again = Encoder.from_json(encoder.as_json())
    assert np.array_equal(again.encode(frame).candidate.ids[:, -1], rows)


def test_buckets_are_the_same_on_every_machine_and_features_share_none() -> None:
    other = Feature(name="ad", kind="categorical", side="candidate", hash_buckets=4)
    frame = pl.DataFrame({"request_id": [1, 1, 1], "word": ["a", "b", None], "ad": [1, 2, 3]})
    assert Encoder((HASHED, other)).encode(frame).candidate.ids.tolist() == [[3, 11], [4, 13], [0, 10]]


@pytest.mark.parametrize("network", [*NETWORKS, LightGbmArchitecture(kind="lightgbm", trees=5)], ids=lambda a: a.kind)
def test_a_student_of_hashed_ids_scores_new_ones_as_their_bucket_does(network: Architecture) -> None:
    rows = training_rows(60)
    cascade = declared(ad={"hash_buckets": 4})
    student = fitted(cascade, rows, architecture=network)
    buckets = shard_of(pl.Series(range(500)), 4)
    new, old = (next(i for i in each if buckets[i] == buckets[3]) for each in (range(100, 500), range(40)))
    assert old < 40 <= new
    first, second = (
        predict_student(student, rows.with_columns(ad=pl.lit(each, pl.Int64)))["consideration"] for each in (new, old)
    )
    assert np.array_equal(first, second)


def test_lists_are_scored_from_files_and_their_unknown_ids_told(tmp_path: Path) -> None:
    rows, cascade = with_tags(training_rows(60))
    student = fitted(cascade, rows)
    asked = (
        rows.filter(domain="CD")
        .drop("domain", "target", "weight")
        .with_columns(ad=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit([99, 1], pl.List(pl.Int64))).otherwise("ad"))
    )
    asked.write_parquet(tmp_path / "in.parquet")
    done = score_files(student, tmp_path / "in.parquet", tmp_path / "out.parquet", "consideration", batch_rows=50)
    found = pl.read_parquet(tmp_path / "out.parquet")["prediction"]
    assert np.allclose(found, predict_student(student, asked)["consideration"], atol=1e-6)
    assert done.unknown["ad"] == pytest.approx(1 / asked["ad"].list.len().sum())
