"""Lists of ids as one embedding a feature: the mean, or the sum, of the embeddings of a list's ids."""

import torch
from torch import Tensor

from ukdsl_assets.learning.features.encoding import ListsOfIds


def pooled(columns: Tensor, ids: Tensor, lists: ListsOfIds | None, width: int) -> Tensor:
    """Columns [n, features * width + numbers] of columns [n, id columns * width + numbers], as networks read them.

    A list without ids is the zero vector, whichever pooling. Without lists each id column is a feature.

    Args:
        columns: of `look_up`, which gives zeros for -1; ids: int32 [n, id columns].
    """
    if lists is None:
        return columns
    parts, first = [], 0
    for count, mean in lists:
        last = first + count
        summed = columns[:, first * width : last * width].view(len(ids), count, width).sum(1)
        there = (ids[:, first:last] >= 0).sum(1, keepdim=True).clamp(min=1)
        parts.append(summed / there if mean else summed)
        first = last
    return torch.cat([*parts, columns[:, first * width :]], dim=1)
