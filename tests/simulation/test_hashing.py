import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ukdsl_assets.simulation.hashing import NORMAL_LEVELS, hashed, integers, normals, uniforms

_identifiers = st.integers(-(2**40), 2**40)


def test_normals_have_the_moments_of_a_standard_normal() -> None:
    drawn = normals(3, "moments", np.arange(400_000)).astype(np.float64)

    moments = [np.mean(drawn**power) for power in (1, 2, 3, 4)]

    # Five standard errors of the mean of x ** power, whose variance is 1, 2, 15 and 96.
    errors = 5 * np.sqrt(np.array([1, 2, 15, 96]) / len(drawn))
    assert np.all(np.abs(np.array(moments) - [0, 1, 0, 3]) < errors)


def test_levels_of_the_normals_have_exactly_unit_variance_and_no_mean() -> None:
    levels = NORMAL_LEVELS.astype(np.float64)

    np.testing.assert_allclose([levels.mean(), levels.var()], [0, 1], atol=1e-6)
    assert np.all(np.diff(levels) >= 0)


def test_neighbouring_identifiers_purposes_and_seeds_are_uncorrelated() -> None:
    number = np.arange(100_000)
    base = normals(1, "a", number)
    others = (normals(1, "a", number + 1), normals(1, "b", number), normals(2, "a", number), normals(1, "a", number, 0))

    correlations = [np.corrcoef(base, other)[0, 1] for other in others]

    assert np.max(np.abs(correlations)) < 5 / np.sqrt(len(number))


def test_the_four_normals_within_one_hash_are_uncorrelated() -> None:
    bits = hashed(1, "slices", np.arange(100_000))
    slices = np.stack([NORMAL_LEVELS[(bits >> np.uint64(16 * place)) & np.uint64(0xFFFF)] for place in range(4)])

    assert np.max(np.abs(np.corrcoef(slices) - np.eye(4))) < 5 / np.sqrt(100_000)


@given(first=_identifiers, second=_identifiers)
def test_an_entity_drawn_alone_equals_the_same_entity_in_an_array(first: int, second: int) -> None:
    together = hashed(7, "pair", np.array([[first], [second]]), np.array([second, first]))

    assert together.shape == (2, 2)
    assert together[0, 0] == hashed(7, "pair", first, second)
    assert together[1, 1] == hashed(7, "pair", second, first)


def test_uniforms_and_choices_fill_their_range_evenly() -> None:
    number = np.arange(70_000)
    uniform = uniforms(1, "uniform", number)
    counts = np.bincount(integers(7, 1, "choice", number), minlength=7)

    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 5 / np.sqrt(12 * len(number))
    assert len(counts) == 7
    assert np.all(np.abs(counts - 10_000) < 5 * np.sqrt(10_000))
