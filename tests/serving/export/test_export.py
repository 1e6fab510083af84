"""A student's file scores as batch scoring does, whatever it reads; else it is not written."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.fixtures.drawn_students import (
    ARCHITECTURES,
    EVERY_KIND,
    OF,
    WITHOUT_LISTS,
    declared_features,
    drawn_student,
    drawn_trees,
    raw_rows,
)
from ukdsl_assets.declaration.architectures import NeuralArchitecture
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.errors import ExportError
from ukdsl_assets.frames.conform import feature_dtype
from ukdsl_assets.learning.features.encoding import EMBEDDING, Encoder
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.serving.export.equality import allowed_difference, compared
from ukdsl_assets.serving.export.export import export_student, laid_out
from ukdsl_assets.serving.export.samples import sample_rows
from ukdsl_assets.serving.onnx_file import OnnxStudent
from ukdsl_assets.serving.scorer import Scorer


def file_of(fitted: FittedStudent, folder: Path) -> OnnxStudent:
    export_student(fitted, folder / "student.onnx", OF)
    return OnnxStudent.load(folder / "student.onnx")


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda each: each.kind)
@pytest.mark.parametrize("lost", [0.0, 0.3])
def test_features_of_every_kind_are_scored_alike(architecture: NeuralArchitecture, lost: float, tmp_path: Path) -> None:
    # Where training saw none missing, a missing value is scored as an unknown one.
    fitted = drawn_student(EVERY_KIND, architecture, lost=lost)
    file = file_of(fitted, tmp_path)
    rows, scorer = raw_rows(EVERY_KIND, 50, seed=9), Scorer(fitted)
    found = file.score(file.columns_of_arrow(rows.to_arrow()))
    prepared = scorer.prepared(rows, "rows")
    assert tuple(found.heads) == fitted.heads
    for head in fitted.heads:
        expected = scorer.predictions(prepared, head)
        assert (np.abs(found.heads[head] - expected) <= allowed_difference(expected, fitted, expected)).all()
        assert found.heads[head].std() > 1e-3


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    declared_features(), st.sampled_from(ARCHITECTURES), st.integers(0, 99), st.sampled_from([0, 1, 2]), st.floats(0, 1)
)
def test_any_declaration_is_scored_alike(
    tmp_path: Path, features: tuple[Feature, ...], kind: NeuralArchitecture, seed: int, more_heads: int, lost: float
) -> None:
    heads = ("impression", "consideration", "scored")[: more_heads + 1]
    fitted = drawn_student(features, kind, seed, heads, lost)
    graph, metadata = laid_out(fitted, OF)
    (tmp_path / "student.onnx").write_bytes(graph.written(metadata.as_texts()))
    # Raises where they differ.
    assert compared(OnnxStudent.load(tmp_path / "student.onnx"), fitted, rows=200, seed=seed).rows == 200


@pytest.mark.parametrize(("leaf_rows", "lost"), [(2, 0.3), (2, 0.0), (1_000, 0.3)])
def test_trees_are_scored_alike(leaf_rows: int, lost: float, tmp_path: Path) -> None:
    # Where a leaf has more rows than there are, a tree is one leaf.
    fitted = drawn_trees(WITHOUT_LISTS, leaf_rows=leaf_rows, lost=lost)
    assert ("cat_threshold=" in (fitted.text or "")) == (leaf_rows == 2)
    file = file_of(fitted, tmp_path)
    rows, scorer = raw_rows(WITHOUT_LISTS, 100, seed=9), Scorer(fitted)
    found, prepared = file.score(file.columns_of(rows.to_dicts())), scorer.prepared(rows, "rows")
    for head in fitted.heads:
        expected = scorer.predictions(prepared, head)
        np.testing.assert_allclose(found.heads[head], expected, rtol=1e-5)
        assert (expected.std() > 1e-3) == (leaf_rows == 2)
    shape = {head: scores.shape for head, scores in file.score(file.columns_of([])).heads.items()}
    assert shape == dict.fromkeys(fitted.heads, (0,))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(declared_features(), st.integers(0, 99), st.floats(0, 1))
def test_any_trees_are_scored_alike(tmp_path: Path, features: tuple[Feature, ...], seed: int, lost: float) -> None:
    without_lists = tuple(each for each in features if each.kind != "multi_valued")
    assume(any(each.served_as is None for each in without_lists))
    fitted = drawn_trees(without_lists, seed, lost=lost)
    graph, metadata = laid_out(fitted, OF)
    (tmp_path / "student.onnx").write_bytes(graph.written(metadata.as_texts()))
    # Raises where they differ.
    assert compared(OnnxStudent.load(tmp_path / "student.onnx"), fitted, rows=200, seed=seed).rows == 200


def test_a_file_that_scores_otherwise_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = drawn_student(EVERY_KIND, ARCHITECTURES[0])
    other = replace(fitted, tensors={**fitted.tensors, EMBEDDING: fitted.tensors[EMBEDDING] * np.float32(1.001)})
    before = tmp_path / "student.onnx"
    before.write_bytes(b"of yesterday")
    monkeypatch.setattr("ukdsl_assets.serving.export.export.laid_out", lambda _, of: laid_out(other, of))
    with pytest.raises(ExportError, match=r"head impression: the file gives 0\..* scoring gives 0\..* of at most"):
        export_student(fitted, before, OF)
    assert [path.name for path in tmp_path.iterdir()] == ["student.onnx"]
    assert before.read_bytes() == b"of yesterday"


def test_unknown_ids_that_are_counted_otherwise_are_told(tmp_path: Path) -> None:
    fitted = drawn_student(EVERY_KIND, ARCHITECTURES[0])
    file = file_of(fitted, tmp_path)
    known, rows = fitted.encoder.vocabularies["item"]
    fewer = replace(fitted.encoder, vocabularies={**fitted.encoder.vocabularies, "item": (known[1:], rows[1:])})
    unlike = replace(fitted, encoder=fewer)
    with pytest.raises(ExportError, match=r"head impression|unknown ids: the file counts \{'item'"):
        compared(file, unlike)


def test_unknown_ids_are_counted_and_missing_ones_are_none(tmp_path: Path) -> None:
    fitted = drawn_student(EVERY_KIND, ARCHITECTURES[0], lost=0.0)
    file = file_of(fitted, tmp_path)
    rows = raw_rows(EVERY_KIND, 10, seed=1, lost=0.0).to_dicts()
    rows[0]["item"] = 10**15
    rows[1] |= {"item": None, "country": "nowhere"}
    rows[2]["topics"] = [7, 0, 7]
    counts = file.score(file.columns_of(rows)).unknown_ids
    assert counts == {"country": 1, "interests": 0, "device": 0, "item": 1, "tags": 0, "topics": 2, "shop": 0}


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda each: each.kind)
def test_no_rows_give_no_scores(architecture: NeuralArchitecture, tmp_path: Path) -> None:
    file = file_of(drawn_student(EVERY_KIND, architecture), tmp_path)
    request = raw_rows(EVERY_KIND, 1, seed=1).to_dicts()[0]
    table = raw_rows(EVERY_KIND, 0, seed=1).to_arrow()
    for columns in (file.columns_of([]), file.columns_of([], request), file.columns_of_arrow(table)):
        found = file.score(columns)
        assert {head: scores.shape for head, scores in found.heads.items()} == dict.fromkeys(file.metadata.heads, (0,))
        assert found.unknown_ids["item"] == 0


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda each: each.kind)
def test_features_of_the_request_may_be_given_once(architecture: NeuralArchitecture, tmp_path: Path) -> None:
    file = file_of(drawn_student(EVERY_KIND, architecture), tmp_path)
    rows = raw_rows(EVERY_KIND, 7, seed=3).to_dicts()
    request = {each.name: rows[0][each.name] for each in EVERY_KIND if each.side == "request"}
    once = [{name: value for name, value in row.items() if name not in request} for row in rows]
    together, apart = (
        file.score(file.columns_of(once, request)),
        file.score(file.columns_of([r | request for r in rows])),
    )
    for head in file.metadata.heads:
        np.testing.assert_allclose(together.heads[head], apart.heads[head], rtol=1e-5)


def test_ids_that_the_marks_would_be_move_the_marks(tmp_path: Path) -> None:
    features = tuple(each for each in EVERY_KIND if each.name in ("country", "item", "tags", "topics"))
    strange = {
        "country": ["\uffffmissing", "", "\uffff\uffffmissing", None],
        "item": [-(2**63) + 1, 2**63 - 1, -(2**63) + 3, None],
        "tags": [["\uffffpadding", ""], [], None, ["\uffffpadding"] * 3],
        "topics": [[-(2**63)], [], [-(2**63), -(2**63) + 2], [0]],
    }
    rows = pl.DataFrame(strange, {each.name: feature_dtype(each) for each in features})
    drawn = drawn_student(features, ARCHITECTURES[0])
    encoder = Encoder(features).extended(rows)
    table = np.random.default_rng(0).normal(0, 0.5, (encoder.size, 3)).astype(np.float32)
    fitted = replace(drawn, encoder=encoder, tensors={**drawn.tensors, EMBEDDING: table})
    file, scorer = file_of(fitted, tmp_path), Scorer(fitted)
    found, prepared = file.score(file.columns_of(rows.to_dicts())), scorer.prepared(rows, "rows")
    assert not any(found.unknown_ids.values())
    np.testing.assert_allclose(found.heads["impression"], scorer.predictions(prepared, "impression"), rtol=1e-5)


def test_small_probabilities_keep_their_places(tmp_path: Path) -> None:
    fitted = drawn_student(EVERY_KIND, ARCHITECTURES[0], heads=("impression",))
    low = replace(fitted, tensors={**fitted.tensors, "heads.bias": np.array([-14], np.float32)})
    file, rows = file_of(low, tmp_path), raw_rows(EVERY_KIND, 50, seed=2)
    found = file.score(file.columns_of_arrow(rows.to_arrow())).heads["impression"]
    expected = Scorer(low).predictions(Scorer(low).prepared(rows, "rows"), "impression")
    assert expected.max() < 1e-4
    np.testing.assert_allclose(found, expected, rtol=1e-5)


# All that a user of the file needs, in the file's own words.
ALONE = """
import json, sys
sys.path.append(sys.argv[1])
import numpy, onnxruntime
session = onnxruntime.InferenceSession("student.onnx")
said = session.get_modelmeta().custom_metadata_map
rows = json.load(open("rows.json"))
columns = {}
for each in json.loads(said["inputs"]):
    dtype = {"string": object}.get(each["dtype"], each["dtype"])
    columns[each["name"]] = numpy.array([row[each["name"]] for row in rows], dtype)
probabilities, unknown = session.run(["probabilities", "unknown_ids"], columns)
assert not [name for name in sys.modules if name.startswith(("ukdsl", "torch", "polars"))]
json.dump({"heads": json.loads(said["heads"]), "probabilities": probabilities.tolist(),
           "unknown": dict(zip(json.loads(said["unknown_ids"]), unknown.tolist()))}, sys.stdout)
"""


def test_the_file_is_scored_by_onnxruntime_alone_from_another_folder(tmp_path: Path) -> None:
    features = tuple(
        each for each in EVERY_KIND if each.kind != "multi_valued" and not each.hash_buckets and not each.may_be_missing
    )
    fitted = drawn_student(features, ARCHITECTURES[0])
    export_student(fitted, tmp_path / "student.onnx", OF)
    rows = raw_rows(features, 12, seed=4).with_columns(device=pl.Series([99] + [1] * 11))
    (tmp_path / "rows.json").write_text(json.dumps(rows.to_dicts()))
    import onnxruntime

    # Without `site` no package that is installed for editing is on the path: ours is not.
    packages = str(Path(onnxruntime.__file__).parents[1])
    command = [sys.executable, "-I", "-S", "-c", ALONE, packages]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
    said = json.loads(done.stdout)
    assert said["unknown"] == {"device": 1}
    scorer = Scorer(fitted)
    prepared = scorer.prepared(rows, "rows")
    for place, head in enumerate(said["heads"]):
        found = np.array(said["probabilities"])[:, place]
        np.testing.assert_allclose(found, scorer.predictions(prepared, head), rtol=1e-5)


def test_what_the_file_says_of_itself(tmp_path: Path) -> None:
    fitted = drawn_student(EVERY_KIND, ARCHITECTURES[3])
    done = export_student(fitted, tmp_path / "student.onnx", OF)
    said = OnnxStudent.load(tmp_path / "student.onnx").metadata
    assert said == done.metadata
    assert (said.cascade, said.student, said.arm, said.day, said.version) == tuple(OF.values())
    assert said.served_as == {"slot": 1}
    assert [each.name for each in said.inputs] == [each.name for each in EVERY_KIND if each.name != "slot"]
    price = next(each for each in said.inputs if each.name == "price")
    assert (price.mean[0], price.deviation[0]) == (pytest.approx(100, abs=3), pytest.approx(3, abs=2))
    assert "MD5" in said.bucket
    assert 0 <= said.difference < 1e-4


def test_a_student_that_reads_nothing_is_refused(tmp_path: Path) -> None:
    slots = tuple(each for each in EVERY_KIND if each.name == "slot")
    with pytest.raises(ExportError, match="the student reads no feature: all have `served_as`"):
        export_student(drawn_student(slots, ARCHITECTURES[0]), tmp_path / "student.onnx", OF)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("most", [100, 3_000])
def test_a_file_that_would_be_too_large_is_refused(most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ukdsl_assets.serving.export.graph.MOST_BYTES", most)
    with pytest.raises(ExportError, match=r"the most of one ONNX file; give features with many ids `hash_buckets`"):
        export_student(drawn_student(EVERY_KIND, ARCHITECTURES[0]), tmp_path / "student.onnx", OF)
    assert not list(tmp_path.iterdir())


def test_a_place_that_will_not_do_is_refused(tmp_path: Path) -> None:
    fitted = drawn_student(EVERY_KIND, ARCHITECTURES[0])
    for target, expected in (
        (tmp_path, "is a folder"),
        (tmp_path / "nowhere" / "student.onnx", "no folder .*nowhere; make it first"),
        (tmp_path / "student.pt", r"expected a name that ends in \.onnx"),
    ):
        with pytest.raises(ExportError, match=expected):
            export_student(fitted, target, OF)
    assert not list(tmp_path.iterdir())


def test_sample_rows_try_what_a_file_may_get_wrong() -> None:
    encoder = drawn_student(EVERY_KIND, ARCHITECTURES[0]).encoder
    rows = sample_rows(encoder, 2_000)
    known = encoder.vocabularies["item"][0]
    share = rows["item"].drop_nulls().is_in(known.implode()).mean()
    assert 0.8 < float(share) < 0.99  # type: ignore[arg-type]
    assert 0.05 < rows["item"].null_count() / len(rows) < 0.2
    assert {0, 5} <= set(rows["tags"].drop_nulls().list.len())
    assert rows["price"].abs().max() > 1e38  # type: ignore[operator]
    assert rows.equals(sample_rows(encoder, 2_000))
    assert "slot" not in rows.columns
    assert len(sample_rows(encoder, 0)) == 0
