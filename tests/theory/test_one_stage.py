"""Equation 1 and its contrast."""

import numpy as np
import pytest

from ukdsl_assets.errors import TheoryError
from ukdsl_assets.theory.one_stage import classical_selection, nested_selection


def test_the_better_of_two_has_a_closed_form() -> None:
    seen = classical_selection(mu=10, sigma=3, tau=4, n=2, k=1)
    top = 1 / np.sqrt(np.pi)
    assert (seen.prediction, seen.truth, seen.optimum) == pytest.approx((10 + 5 * top, 10 + 9 / 5 * top, 10 + 3 * top))


def test_larger_noise_promises_more_and_earns_less() -> None:
    seen = classical_selection(mu=1, sigma=0.5, tau=np.linspace(0, 2, 9), n=300, k=24)
    assert (np.diff(seen.prediction) > 0).all()
    assert (np.diff(seen.truth) < 0).all()
    assert seen.prediction[0] == seen.truth[0] == seen.optimum[0]
    assert (seen.truth[1:] < seen.optimum[1:]).all()


def test_selecting_all_makes_no_bias() -> None:
    seen = classical_selection(mu=2, sigma=1, tau=3, n=7, k=7)
    assert seen.prediction == seen.truth == seen.optimum == 2


def test_a_mean_given_what_is_known_stays_right_on_what_it_selects() -> None:
    seen = nested_selection(mu=1, sigma=0.5, tau=np.array([0.1, 0.3, 0.5]), n=300, k=24)
    assert (seen.calibration == 1).all()
    # It earns less the less it knows, and nothing above the mean when it knows nothing.
    assert (np.diff(seen.truth) < 0).all()
    assert seen.truth[-1] == 1


@pytest.mark.parametrize("changed", [{"sigma": 0}, {"tau": -1}, {"tau": np.nan}, {"k": 4}])
def test_impossible_arguments_are_refused(changed: dict) -> None:
    with pytest.raises(TheoryError):
        classical_selection(**{"mu": 0, "sigma": 1, "tau": 1, "n": 3, "k": 1} | changed)
    with pytest.raises(TheoryError):
        nested_selection(mu=0, sigma=1, tau=1.5, n=3, k=1)
