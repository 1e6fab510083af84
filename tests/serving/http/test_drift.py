"""What a model's requests differ by from its training, against sums made the plain way."""

import weakref

import numpy as np
import pytest

from ukdsl_assets.serving.http.drift import InputMonitor
from ukdsl_assets.serving.onnx_file import Scores
from ukdsl_assets.serving.onnx_metadata import FileMetadata, Input

INPUTS = (
    Input("age", "numeric", "request", "float32", "allowed", mean=(40.0,), deviation=(10.0,)),
    Input("price", "numeric", "candidate", "float32", "refused", mean=(1.0,), deviation=(0.0,)),
    Input("taste", "vector", "candidate", "float32", "refused", width=2, mean=(0.0, 1.0), deviation=(1.0, 2.0)),
    Input("shop", "categorical", "candidate", "int64", "allowed", missing_value=-5),
    Input("tags", "multi_valued", "candidate", "string", "refused", most_values=3, padding="~"),
)
METADATA = FileMetadata(
    "c", "s", "distilled", "2026-01-01", "v", ("a", "b"), INPUTS, ("shop", "tags"), {}, "", 0.0, "0"
)


def batch(rng: np.random.Generator, rows: int) -> tuple[dict[str, np.ndarray], Scores]:
    columns = {
        "age": np.array([rng.choice([np.nan, rng.normal(50, 10)])], np.float32),
        "price": rng.normal(size=rows).astype(np.float32),
        "taste": rng.normal(size=(rows, 2)).astype(np.float32),
        "shop": rng.choice([-5, 1, 2], rows),
        "tags": rng.choice(np.array(["x", "~"], object), (rows, int(rng.integers(0, 4)))),
    }
    heads = {head: rng.uniform(size=rows).astype(np.float32) for head in "ab"}
    return columns, Scores(heads, {"shop": int(rng.integers(0, 2)), "tags": int(rng.integers(0, 2))})


def test_figures_are_those_of_the_last_rows() -> None:
    rng = np.random.default_rng(1)
    batches = [batch(rng, int(rng.integers(1, 8))) for _ in range(40)]
    monitor = InputMonitor(METADATA, window=60)
    for columns, scores in batches:
        monitor.add(columns, scores)

    last: list[tuple[dict[str, np.ndarray], Scores]] = []
    for each in reversed(batches):
        if sum(len(columns["price"]) for columns, _ in [*last, each]) > 60:
            break
        last.append(each)
    rows = [len(columns["price"]) for columns, _ in last]
    ages = np.repeat([float(columns["age"][0]) for columns, _ in last], rows)
    taste = np.concatenate([columns["taste"] for columns, _ in last])
    shops = np.concatenate([columns["shop"] for columns, _ in last])
    unknown = sum(scores.unknown_ids["shop"] for _, scores in last)
    figures = {(each.feature, each.place): each for each in monitor.figures()}

    assert figures["age", ""].missing == pytest.approx(np.isnan(ages).mean())
    assert figures["age", ""].shift == pytest.approx((np.nanmean(ages) - 40) / 10)
    assert figures["price", ""].shift is None
    assert figures["taste", "1"].shift == pytest.approx((taste[:, 1].mean() - 1) / 2, rel=1e-5)
    assert figures["shop", ""].missing == pytest.approx((shops == -5).mean())
    assert figures["shop", ""].unknown == pytest.approx(unknown / (shops != -5).sum())
    assert figures["tags", ""].missing is None
    means = {head: np.concatenate([scores.heads[head] for _, scores in last]).mean() for head in "ab"}
    assert monitor.mean_predictions() == pytest.approx(means)
    given = sum(int((columns["tags"] != "~").sum()) for columns, _ in batches)
    assert monitor.ids["tags"] == [given, sum(scores.unknown_ids["tags"] for _, scores in batches)]


def test_before_the_first_row_there_is_nothing_to_tell() -> None:
    monitor = InputMonitor(METADATA)
    monitor.add({}, Scores({head: np.zeros(0, np.float32) for head in "ab"}, {}))

    assert (list(monitor.figures()), monitor.mean_predictions()) == ([], {})


def test_a_batch_above_the_window_is_kept_until_the_next() -> None:
    rng = np.random.default_rng(2)
    monitor = InputMonitor(METADATA, window=5)
    for rows in (9, 2):
        columns, scores = batch(rng, rows)
        monitor.add(columns, scores)
        assert monitor.mean_predictions()["a"] == pytest.approx(scores.heads["a"].mean())


def test_texts_are_counted_and_not_kept() -> None:
    class Text(str):
        """One that can be watched."""

    rng = np.random.default_rng(3)
    columns, scores = batch(rng, 2)
    text = Text("a long one")
    watched = weakref.ref(text)
    columns["tags"] = np.array([[text], ["~"]], object)
    monitor = InputMonitor(METADATA)
    monitor.add(columns, scores)
    del columns, text

    assert watched() is None
    assert monitor.ids["tags"][0] == 1
