"""How requests differ from what a model was trained on: unknown ids, missing values, and the mean of each number.

Numbers of the last `WINDOW_ROWS` rows are kept as they were scored and summed when somebody asks: sums of each dozen of
rows would cost more than their scores. Of ids counts are kept: texts may be as long as a request.
"""

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.serving.onnx_file import Scores
from ukdsl_assets.serving.onnx_metadata import FileMetadata, Input
from ukdsl_assets.serving.onnx_values import missing_mark, padding_mark

WINDOW_ROWS = 8_192


class _Batch(NamedTuple):
    """Rows, their columns of numbers, feature of ids -> ids given and rows without one, and scores."""

    rows: int
    numbers: Mapping[str, NDArray[Any]]
    ids: Mapping[str, tuple[int, float]]
    scores: Scores


class InputFigure(NamedTuple):
    """Of one place of one feature: `place` is empty but for a vector's, of which it is the number from 0.

    missing: share of its values; None where none may be. shift: mean of the others minus training's, in training's
    standard deviations; None for ids and where training saw no deviation. unknown: share of its ids that training did
    not see; None for numbers.
    """

    feature: str
    place: str
    missing: float | None
    shift: float | None
    unknown: float | None


class InputMonitor:
    """The last rows of one model's requests; may be shared by threads.

    Attributes:
        ids: feature -> how many ids were given, and how many of them training did not see, since the start.
    """

    def __init__(self, metadata: FileMetadata, window: int = WINDOW_ROWS) -> None:
        self._metadata, self._window = metadata, window
        self._of_ids = [each for each in metadata.inputs if each.name in metadata.unknown_ids]
        self._lock = threading.Lock()
        self._batches: deque[_Batch] = deque()
        self._rows = 0
        self.ids = {each.name: [0, 0] for each in self._of_ids}

    def add(self, columns: Mapping[str, NDArray[Any]], scores: Scores) -> None:
        """Takes note of a batch, and forgets the oldest ones.

        Args:
            columns: as they were scored, which nobody changes any more; scores: what came of them.
        """
        rows = len(scores.heads[self._metadata.heads[-1]])
        if not rows:
            return
        ids = {each.name: _counts_of_ids(columns[each.name], each, rows) for each in self._of_ids}
        numbers = {name: column for name, column in columns.items() if name not in ids}
        with self._lock:
            self._batches.append(_Batch(rows, numbers, ids, scores))
            self._rows += rows
            while self._rows > self._window and len(self._batches) > 1:
                self._rows -= self._batches.popleft().rows
            for name, (count, _) in ids.items():
                seen = self.ids[name]
                seen[0] += count
                seen[1] += scores.unknown_ids[name]

    def figures(self) -> Iterator[InputFigure]:
        """A figure each place of each feature, of the last rows; none before the first."""
        batches = self._last()
        if not batches:
            return
        for each in self._metadata.inputs:
            unknown = None
            if each.name in self.ids:
                given, without = map(sum, zip(*(batch.ids[each.name] for batch in batches), strict=True))
                unknown = sum(batch.scores.unknown_ids[each.name] for batch in batches) / max(given, 1)
                rows = sum(batch.rows for batch in batches)
                missing, values, total = np.array([[without], [rows - without], [0.0]])
            else:
                missing, values, total = _sums_of([(batch.rows, batch.numbers[each.name]) for batch in batches])
            for place in range(len(values)):
                training = each.deviation[place] if each.deviation else 0.0
                told = values[place] > 0 and training > 0
                yield InputFigure(
                    each.name,
                    str(place) if each.kind == "vector" else "",
                    float(missing[place] / (missing[place] + values[place])) if each.missing == "allowed" else None,
                    float((total[place] / values[place] - each.mean[place]) / training) if told else None,
                    unknown,
                )

    def mean_predictions(self) -> dict[str, float]:
        """Head -> mean probability of the last rows; empty before the first."""
        batches = self._last()
        if not batches:
            return {}
        heads = self._metadata.heads
        return {
            head: float(np.concatenate([batch.scores.heads[head] for batch in batches]).mean(dtype=np.float64))
            for head in heads
        }

    def _last(self) -> list[_Batch]:
        with self._lock:
            return list(self._batches)


def _sums_of(columns: Sequence[tuple[int, NDArray[Any]]]) -> NDArray[np.float64]:
    """Missing numbers, numbers and their sum, [3, places], of batches; a column of length 1 stands for all its rows."""
    lengths = np.array([len(column) for _, column in columns])
    weight = np.repeat(np.array([rows for rows, _ in columns]) / lengths, lengths)
    values = np.concatenate([column for _, column in columns]).astype(np.float64).reshape(len(weight), -1)
    there = ~np.isnan(values)
    present = weight @ there
    return np.array([weight.sum() - present, present, weight @ np.where(there, values, 0.0)])


def _missing_ids(column: NDArray[Any], feature: Input) -> NDArray[np.bool_]:
    """Which rows [rows] hold the mark of a missing value; of lists it stands first."""
    if column.ndim == 2:
        if not column.shape[1]:
            return np.zeros(len(column), bool)
        column = column[:, 0]
    missing: NDArray[np.bool_] = column == missing_mark(feature)
    return missing


def _counts_of_ids(column: NDArray[Any], feature: Input, rows: int) -> tuple[int, float]:
    """Ids that a column holds, neither missing nor behind the end of a list, and how many of `rows` are missing.

    An id of the request, of a column of length 1, counts once, but is missing in all rows.
    """
    count, missing = column.size, 0.0
    if feature.missing == "allowed":
        marked = _missing_ids(column, feature)
        count -= int(marked.sum())
        missing = float(marked.sum()) * rows / len(column)
    if feature.kind == "multi_valued":
        count -= int((column == padding_mark(feature)).sum())
    return count, missing
