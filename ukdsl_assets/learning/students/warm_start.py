"""A student whose features have changed goes on from what it has learnt of those that it keeps."""

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.learning.features.encoding import EMBEDDING, Encoder, grow
from ukdsl_assets.learning.students.student import Arm, FittedStudent, trained_heads_of

# Kind of network -> side -> the layer that reads the side's columns; others read them in more than one place.
INPUT_LAYERS = {
    "two_tower": {"request": "request.hidden.weight", "candidate": "candidate.hidden.weight"},
    "mlp": {"request": "deep.first.request", "candidate": "deep.first.candidate"},
}


def continued(previous: FittedStudent, cascade: Cascade, student: Student, arm: Arm) -> FittedStudent | None:
    """What a training may be warm-started from: the previous student, or for one whose features are selected what it
    knows of those that it keeps; None for a start anew.

    Only two_tower and mlp carry over, and only where both sides keep a feature.
    """
    if can_continue(previous, cascade, student, arm):
        return previous
    now = cascade.features_of(student)
    as_before = student.model_copy(update={"features": tuple(f.name for f in previous.encoder.features)})
    if student.selection is None or not can_continue(previous, cascade, as_before, arm):
        return None
    kept = {f.name for f in previous.encoder.features} & {f.name for f in now}
    sides = {f.side for f in now if f.name in kept}
    if student.architecture.kind not in INPUT_LAYERS or sides != {"request", "candidate"}:
        return None
    return carried(previous, now, student.seed)


def carried(previous: FittedStudent, features: tuple[Feature, ...], seed: int) -> FittedStudent:
    """The student with other features: embeddings, scales and weights of those it keeps are as before.

    New features begin with weight 0, so that without the dropped ones it would predict as before; their embeddings are
    drawn. Features of the same name must be the same, both sides must have some before and now.
    """
    encoder, source = carried_encoder(previous.encoder, features)
    table = np.asarray(previous.tensors[EMBEDDING])
    drawn = grow(np.empty((0, table.shape[1]), np.float32), len(source), seed)
    tensors = dict(previous.tensors)
    tensors[EMBEDDING] = np.where(source[:, None] >= 0, table[np.maximum(source, 0)], drawn)
    for side, name in INPUT_LAYERS[previous.architecture.kind].items():
        before = _columns(previous.encoder.features, side, table.shape[1])
        now = _columns(features, side, table.shape[1])
        weight = np.zeros((len(tensors[name]), sum(len(each) for each in now.values())), np.float32)
        for feature, places in now.items():
            if feature in before:
                weight[:, places] = tensors[name][:, before[feature]]
        tensors[name] = weight
    return replace(previous, tensors=tensors, encoder=encoder)


def carried_encoder(before: Encoder, features: tuple[Feature, ...]) -> tuple[Encoder, NDArray[np.int64]]:
    """An encoder of the features that knows what the former one knew, and where each row of its table comes from:
    int64 [rows], -1 for a new one."""
    unknown = {feature.name: row for row, feature in enumerate(before.of_ids)}
    buckets, first = {}, len(before.of_ids)
    for feature in before.of_ids:
        buckets[feature.name] = first
        first += feature.hash_buckets or 0
    now = Encoder(features)
    source = [unknown.get(feature.name, -1) for feature in now.of_ids]
    for feature in now.of_ids:
        count = feature.hash_buckets or 0
        start = buckets.get(feature.name)
        source += [-1] * count if start is None else list(range(start, start + count))
    lost = {feature.name: before.missing_row(feature) for feature in before.of_ids if feature.may_be_missing}
    source += [lost.get(feature.name, -1) for feature in now.of_ids if feature.may_be_missing]
    vocabularies: dict[str, tuple[pl.Series, NDArray[np.int32]]] = {}
    for feature in now.of_ids:
        if feature.name in before.vocabularies:
            ids, rows = before.vocabularies[feature.name]
            # In the order of arrival, as they were.
            places = np.argsort(np.argsort(rows)) + len(source)
            source += np.sort(rows).tolist()
            vocabularies[feature.name] = (ids, places.astype(np.int32))
    scales = {f.name: before.scales[f.name] for f in features if f.name in before.scales}
    return Encoder(features, vocabularies, scales), np.array(source, dtype=np.int64)


def _columns(features: tuple[Feature, ...], side: str, width: int) -> dict[str, list[int]]:
    """Columns of each feature in what a side's first layer reads: embeddings side by side, then numbers."""
    mine = [f for f in features if f.side == side]
    columns, first = {}, 0
    for feature in sorted(mine, key=lambda f: not f.of_ids):
        count = width if feature.of_ids else feature.number_columns
        columns[feature.name] = list(range(first, first + count))
        first += count
    return columns


def can_continue(previous: FittedStudent, cascade: Cascade, student: Student, arm: Arm) -> bool:
    """Whether training may be warm-started: a network that fits the declaration of today. Trees are grown anew."""
    # What a feature costs, and what people call its values, is no part of the model.
    before, now = (
        [feature.model_copy(update={"cost": 0.0, "names": None}) for feature in features]
        for features in (previous.encoder.features, cascade.features_of(student))
    )
    same = previous.architecture == student.architecture and student.architecture.is_network
    # Head `scored` is no parameter of the network, so that it may come and go.
    return same and before == now and previous.trained_heads == trained_heads_of(student, arm)
