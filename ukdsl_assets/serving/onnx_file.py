"""An exported student answers: one ONNX file loaded, from raw columns to each head's probability.

It loads numpy and onnxruntime, and nothing else of what made the file, so that a server starts at once. What `ukdsl
export` writes is described in docs/how-to/export.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.errors import ScoringError
from ukdsl_assets.serving.onnx_metadata import FileMetadata, metadata_of
from ukdsl_assets.serving.onnx_values import column_of_values

if TYPE_CHECKING:
    import pyarrow as pa

    from ukdsl_assets.serving.onnx_metadata import Input

# Outputs of the file.
PROBABILITIES, UNKNOWN_IDS = "probabilities", "unknown_ids"


@dataclass(frozen=True)
class Scores:
    """What a file says of a batch.

    heads: head -> float32 [rows], its probabilities, the one that serves last; unknown_ids: feature of ids -> how many
    of the ids that were given the student was not trained on.
    """

    heads: Mapping[str, NDArray[np.float32]]
    unknown_ids: Mapping[str, int]


class OnnxStudent:
    """A student of an ONNX file that `ukdsl export` wrote; may be shared by threads.

    Attributes:
        metadata: which student it is, and what it reads.
    """

    def __init__(self, session: Any, metadata: FileMetadata) -> None:
        self._session = session
        self.metadata = metadata
        self._names = frozenset(each.name for each in metadata.inputs)

    @classmethod
    def load(cls, path: str | Path, threads: int = 1) -> OnnxStudent:
        """The student of a file.

        Args:
            threads: that a batch is scored by.

        Raises:
            ScoringError: onnxruntime is missing, there is no such file, or it is none that `ukdsl export` wrote.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise ScoringError(
                f"{path}: onnxruntime, which reads it, is not installed; pip install 'ukdsl-assets[serve]'"
            ) from error
        if not Path(path).is_file():
            raise ScoringError(f"{path}: no such file; write it with `ukdsl export CASCADE STUDENT --output {path}`")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        # What goes wrong is raised; the library would print it too.
        options.log_severity_level = 4
        # Threads that wait busily take the processor from other requests.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            # onnxruntime has exceptions of many types, with no common base of their own.
            raise ScoringError(f"{path}: not readable as ONNX: {error}; export the student again") from error
        return cls(session, metadata_of(session.get_modelmeta().custom_metadata_map, str(path)))

    def columns_of(
        self, rows: Sequence[Mapping[str, object]], request: Mapping[str, object] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Columns for `score`, of rows as JSON has them: a value a feature, null where it is missing.

        Args:
            rows: one a candidate; what is no feature of the student is not read.
            request: values of the request's features, which `rows` then need not repeat; None if they do. A column of
                them has length 1, and stands for all candidates.

        Raises:
            ScoringError: names row (from 1), column, what was seen, what is expected, and the fix.
        """
        columns: dict[str, NDArray[Any]] = {}
        for each in self.metadata.inputs:
            once = request is not None and each.side == "request"
            of = [request] if once and request is not None else rows
            where = "request" if once else "row"
            try:
                values = [row[each.name] for row in of]
            except (KeyError, TypeError, IndexError):
                raise _without(of, each, where) from None
            columns[each.name] = column_of_values(values, each, where)
        return columns

    def columns_of_arrow(self, table: pa.Table | pa.RecordBatch) -> dict[str, NDArray[Any]]:
        """Columns for `score`, of an Arrow table or record batch; columns that are no features are not read.

        Raises:
            ScoringError: as `columns_of`; a column of another type is named with its type.
        """
        from ukdsl_assets.serving.onnx_arrow import columns_of_table

        return columns_of_table(table, self.metadata.inputs)

    def score(self, columns: Mapping[str, NDArray[Any]]) -> Scores:
        """Probabilities of each head, and counts of unknown ids.

        Args:
            columns: a column each input, as `columns_of` gives them. All of one length; those of the request's features
                may have length 1 instead.

        Raises:
            ScoringError: a column is missing or too much, or lengths differ.
        """
        try:
            probabilities, unknown = self._session.run([PROBABILITIES, UNKNOWN_IDS], columns)
        except Exception as error:
            # onnxruntime's exceptions have no common base of their own.
            raise self._refusal(columns, error) from error
        by_head = {head: probabilities[:, place] for place, head in enumerate(self.metadata.heads)}
        return Scores(by_head, dict(zip(self.metadata.unknown_ids, unknown.tolist(), strict=True)))

    def _refusal(self, columns: Mapping[str, NDArray[Any]], error: Exception) -> ScoringError:
        if columns.keys() != self._names:
            missing, extra = sorted(self._names - columns.keys()), sorted(columns.keys() - self._names)
            words = [f"{kind} {', '.join(names)}" for kind, names in (("without", missing), ("beside", extra)) if names]
            return ScoringError(f"columns: {'; '.join(words)}; expected those that `columns_of` gives")
        lengths = {name: len(column) for name, column in columns.items()}
        return ScoringError(
            f"columns: not scored: {error}; lengths are {lengths}, expected one length (or 1 for features of the "
            "request) and the types that `columns_of` gives"
        )


def _without(rows: Sequence[Any], feature: Input, where: str) -> ScoringError:
    """The refusal of rows of which one has no value of a feature, or is no mapping."""
    number, row = next(
        (number, row) for number, row in enumerate(rows, 1) if not isinstance(row, Mapping) or feature.name not in row
    )
    place = where if where == "request" else f"{where} {number}"
    if not isinstance(row, Mapping):
        return ScoringError(f"{place}: saw {row!r:.60}, expected a mapping of features to values; send one a candidate")
    null = " (null where it is missing)" if feature.missing == "allowed" else ""
    seen = ", ".join(map(str, row)) or "nothing"
    return ScoringError(
        f"{place}: column `{feature.name}` is missing, saw {seen:.200}; expected "
        f"{feature.expected}{null}; send every feature that the student was trained on"
    )
