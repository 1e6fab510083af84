"""The change of NE between two students and its error: closed forms, additivity, the bootstrap, coverage."""

from dataclasses import astuple

import numpy as np
import pytest

from ukdsl_assets.learning.evaluation.champion import Paired, paired
from ukdsl_assets.learning.metrics.bootstrap import request_sums
from ukdsl_assets.learning.metrics.calibration import normalized_entropy, row_entropy
from ukdsl_assets.learning.metrics.interval import STANDARD_ERRORS

RNG = np.random.default_rng(0)
REQUESTS = 400
REQUEST = np.repeat(np.arange(REQUESTS), RNG.integers(1, 9, REQUESTS))
N = len(REQUEST)
TRUTH = 1 / (1 + np.exp(-(RNG.normal(-2, 0.7, N) + RNG.normal(0, 0.7, REQUESTS)[REQUEST])))
LABEL = (RNG.random(N) < TRUTH).astype(np.float64)
WEIGHT = RNG.choice([1.0, 3.0], N)


def noisy(spread: float) -> np.ndarray:
    logit = np.log(TRUTH / (1 - TRUTH)) + RNG.normal(0, spread, N)
    return (1 / (1 + np.exp(-logit))).astype(np.float32)


CHAMPION, CHALLENGER = noisy(0.3), noisy(0.4)


def of(chosen: np.ndarray) -> Paired:
    return paired(REQUEST[chosen], LABEL[chosen], WEIGHT[chosen], CHAMPION[chosen], CHALLENGER[chosen])


ALL = of(np.ones(N, bool))


def test_the_change_is_that_of_normalized_entropy() -> None:
    before, after = (normalized_entropy(p, LABEL, WEIGHT) for p in (CHAMPION, CHALLENGER))
    assert ALL.change == pytest.approx(after / before - 1, rel=1e-9)
    assert (ALL.requests, ALL.rows, ALL.positives) == (REQUESTS, N, int(LABEL.sum()))


def test_days_and_shards_pool_by_adding() -> None:
    parts = [of(np.isin(REQUEST, range(start, start + 100))) for start in (0, 100, 200, 300)]
    assert astuple(sum(parts, Paired())) == pytest.approx(astuple(ALL), rel=1e-12)
    assert sum(parts, Paired()).error == pytest.approx(ALL.error, rel=1e-9)


def test_the_error_is_the_delta_methods_and_that_of_the_bootstrap() -> None:
    entropies = (WEIGHT * row_entropy(p.astype(np.float64), LABEL) for p in (CHAMPION, CHALLENGER))
    b, a = request_sums(REQUEST, REQUESTS, *entropies).T
    residual = a - (1 + ALL.change) * b
    assert ALL.error == pytest.approx(np.sqrt(REQUESTS * residual.var(ddof=1)) / b.sum(), rel=1e-6)
    drawn = np.random.default_rng(1).multinomial(REQUESTS, np.full(REQUESTS, 1 / REQUESTS), 2000)
    assert ALL.error == pytest.approx(((drawn @ a) / (drawn @ b)).std(), rel=0.08)


def test_the_same_student_does_not_differ_and_a_scaled_weight_changes_nothing() -> None:
    same = paired(REQUEST, LABEL, WEIGHT, CHAMPION, CHAMPION)
    assert (same.change, same.error) == (0, 0)
    heavier = paired(REQUEST, LABEL, 8 * WEIGHT, CHAMPION, CHALLENGER)
    assert (heavier.change, heavier.error) == pytest.approx((ALL.change, ALL.error), rel=1e-9)


@pytest.mark.parametrize("requests", [0, 1])
def test_no_or_one_request_has_no_error(requests: int) -> None:
    few = of(requests > REQUEST)
    assert few.requests == requests
    assert np.isnan(few.error)
    assert np.isnan(few.change) == (requests == 0)


@pytest.mark.parametrize("requests", [30, 200])
def test_the_interval_covers_the_true_change_about_as_often_as_it_says(requests: int) -> None:
    """Request sums as of clicks: skewed, challenger and champion alike but for a tenth; 2,000 windows."""
    rng, windows, change = np.random.default_rng(2), 2000, 0.01
    b = rng.gamma(1.5, 1.0, (windows, requests))
    d = b * change + 0.1 * b * rng.standard_normal((windows, requests))
    covered = 0
    for one, other in zip(b, d, strict=True):
        sums = (one.sum(), other.sum(), (one**2).sum(), (other**2).sum(), (one * other).sum())
        seen = Paired(requests, requests, requests, *map(float, sums))
        covered += abs(seen.change - change) <= STANDARD_ERRORS * seen.error
    # Of few requests an error is known to 13%, which costs a little.
    assert covered / windows == pytest.approx(0.95, abs=0.035 if requests == 30 else 0.012)
