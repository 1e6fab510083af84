"""Donors of permuted features."""

import numpy as np
import pytest

from ukdsl_assets.selection.importance.permutations import permutations


def test_every_repeat_is_another_permutation_and_more_repeats_keep_the_first() -> None:
    few, many = permutations(500, 2, seed=3), permutations(500, 5, seed=3)
    assert np.array_equal(few, many[:2])
    assert np.array_equal(np.sort(many, axis=1), np.tile(np.arange(500), (5, 1)))
    assert len(np.unique(many, axis=0)) == 5
    assert not np.array_equal(few, permutations(500, 2, seed=4))


def test_no_rows_have_no_donors_and_no_repeat_is_refused() -> None:
    assert permutations(0, 3, seed=0).shape == (3, 0)
    with pytest.raises(ValueError, match="0 repeats"):
        permutations(10, 0, seed=0)
