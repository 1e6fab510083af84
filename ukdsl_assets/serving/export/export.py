"""A student becomes a file: its graph, what the file says of itself, and the comparison before it appears."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

from ukdsl_assets.errors import ExportError
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.serving.export.columns import ROWS, Reading
from ukdsl_assets.serving.export.equality import Compared, compared
from ukdsl_assets.serving.export.graph import PACKAGE, Graph
from ukdsl_assets.serving.export.networks import logits_of
from ukdsl_assets.serving.export.outputs import negated_logits, probabilities
from ukdsl_assets.serving.export.tables import blocks_of, inputs_of
from ukdsl_assets.serving.export.trees import sums_of_trees
from ukdsl_assets.serving.onnx_file import PROBABILITIES, UNKNOWN_IDS, OnnxStudent
from ukdsl_assets.serving.onnx_metadata import FileMetadata
from ukdsl_assets.serving.onnx_values import BUCKET_RULE

ENDING = ".onnx"


@dataclass(frozen=True)
class Exported:
    """A file that was written: its size, what it says of itself, and how it compared with batch scoring."""

    size: int
    metadata: FileMetadata
    compared: Compared


def check_target(target: Path) -> None:
    """Raises ExportError for a folder, a place that is not there, or another ending."""
    if target.is_dir():
        raise ExportError(f"--output: {target} is a folder; name a file in it, e.g. {target / 'student.onnx'}")
    if not target.parent.is_dir():
        raise ExportError(f"--output: no folder {target.parent}; make it first")
    if target.suffix.lower() != ENDING:
        raise ExportError(f"--output: {target}: expected a name that ends in {ENDING}")


def export_student(fitted: FittedStudent, target: Path, of: Mapping[str, str]) -> Exported:
    """Write a student as one file, which appears, or is replaced, once it has scored sample rows as the student does.

    Args:
        target: ends in `.onnx`; of: cascade, student, arm, day and version, for the file's metadata.

    Raises:
        ExportError: the place will not do, onnx is missing, the student has nothing to read, the file would be too
            large, or it scores otherwise than batch scoring; nothing is left behind.
    """
    check_target(target)
    graph, metadata = laid_out(fitted, of)
    temporary = target.with_name(f".{target.name}-{uuid4().hex}{ENDING}")
    try:
        temporary.write_bytes(graph.written(metadata.as_texts()))
        found = compared(OnnxStudent.load(temporary), fitted)
        # What was found is a part of what the file says.
        metadata = replace(metadata, difference=found.difference)
        content = graph.written(metadata.as_texts())
        temporary.write_bytes(content)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return Exported(len(content), metadata, found)


def laid_out(fitted: FittedStudent, of: Mapping[str, str]) -> tuple[Graph, FileMetadata]:
    """The graph of a student, not compared with anything, and what its file says; arguments as `export_student`."""
    graph, blocks = Graph(f"{of['cascade']}_{of['student']}"), blocks_of(fitted.encoder)
    inputs = inputs_of(fitted.encoder, blocks)
    if not inputs:
        raise ExportError("the student reads no feature: all have `served_as`; expected one that differs between rows")
    reading = Reading(graph, fitted, inputs, blocks)
    if fitted.text is None:
        sides = reading.side("request"), reading.side("candidate")
        negated = logits_of(graph, fitted, *sides, negated_logits(fitted))
    else:
        sides = reading.coded_side("request"), reading.coded_side("candidate")
        negated = sums_of_trees(graph, fitted, blocks, *sides, negated_logits(fitted))
    metadata = FileMetadata(
        **of,
        heads=fitted.heads,
        inputs=inputs,
        unknown_ids=tuple(reading.unknown_ids),
        served_as={each.name: each.served_as for each in fitted.encoder.features if each.served_as is not None},
        bucket=BUCKET_RULE if any(each.hash_buckets for each in inputs) else "",
        difference=float("nan"),
        package_version=version(PACKAGE),
    )
    rows = "rows" if any(each.side == "candidate" for each in inputs) else ROWS["request"]
    graph.output(probabilities(graph, fitted, negated), PROBABILITIES, "float32", [rows, len(fitted.heads)])
    graph.output(reading.unknown_counts(), UNKNOWN_IDS, "int64", [len(reading.unknown_ids)])
    return graph, metadata
