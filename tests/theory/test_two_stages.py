"""Closed form, quadrature and Monte-Carlo of two stages, which must agree."""

import numpy as np
import pytest

from ukdsl_assets.errors import TheoryError
from ukdsl_assets.theory.monte_carlo import Drawn, draw_selected_by_stage_1, draw_selected_by_stage_2
from ukdsl_assets.theory.one_stage import classical_selection
from ukdsl_assets.theory.order_statistics import expected_top
from ukdsl_assets.theory.own_selection import selected_by_stage_2
from ukdsl_assets.theory.two_stages import Means, TwoStages, classical_stages, nested_stages, selected_by_stage_1

LAWS = {
    "independent": classical_stages(1, 0.3, 0.3, 0.15),
    "correlated": classical_stages(1, 0.3, 0.3, 0.15, rho=0.5),
    "opposed": classical_stages(1, 0.3, 0.3, 0.15, rho=-1),
    "nested": nested_stages(1, 0.3, 0.2, 0.1),
}
NAMES = ("truth", "stage_1", "stage_2")


def values(means: Means) -> np.ndarray:
    return np.array([np.ravel(getattr(means, name)) for name in NAMES]).squeeze()


def test_the_ratio_of_the_stages_is_as_stated() -> None:
    mu, sigma, tau1, tau2, rho = 2.0, 0.7, 0.5, 0.2, 0.4
    v, c = np.hypot(sigma, tau1), expected_top(24, 300)
    seen = selected_by_stage_1(classical_stages(mu, sigma, tau1, tau2, rho), 300, 24)
    expected = (mu + v * c) / (mu + (sigma**2 + rho * tau1 * tau2) * c / v)
    assert seen.cross_stage_calibration == pytest.approx(expected, abs=1e-15)


def test_stage_1_on_its_own_selection_is_equation_1() -> None:
    seen = selected_by_stage_1(LAWS["correlated"], 300, [6, 24])
    once = classical_selection(1, 0.3, 0.3, 300, [6, 24])
    assert values(seen)[:2] == pytest.approx(np.array([once.truth, once.prediction]), abs=1e-15)


def test_stage_2_is_right_on_s_1_only_if_the_errors_are_independent() -> None:
    independent, correlated = (selected_by_stage_1(LAWS[name], 300, 24) for name in ("independent", "correlated"))
    assert independent.stage_2_calibration == 1
    assert independent.stage_1_calibration > 1.2
    # Correlated errors lift stage 2, and the cross-stage calibration then says less than is wrong.
    assert correlated.stage_2_calibration > 1.05
    assert 1 < correlated.cross_stage_calibration < correlated.stage_1_calibration


def test_nested_stages_agree_on_s_1_and_stage_2_on_its_own_selection() -> None:
    first = selected_by_stage_1(LAWS["nested"], 300, 24)
    assert first.stage_1_calibration == first.stage_2_calibration == 1
    second = selected_by_stage_2(LAWS["nested"], 300, 24, 6)
    assert second.stage_2_calibration == pytest.approx(1, abs=1e-9)
    assert second.stage_1_calibration < 0.95


@pytest.mark.parametrize("law", LAWS)
def test_drawing_agrees_with_the_closed_form_to_a_thousandth(law: str) -> None:
    k1 = [10, 30, 100, 200]
    closed, drawn = selected_by_stage_1(LAWS[law], 200, k1), draw_selected_by_stage_1(LAWS[law], 200, k1, 10_000, 1)
    agree(closed, drawn)


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("k1", "k2"), [(40, 10), (199, 20), (30, 29), (50, 50), (200, 10)])
def test_drawing_agrees_with_the_quadrature(law: str, k1: int, k2: int) -> None:
    closed = selected_by_stage_2(LAWS[law], 200, k1, k2)
    agree(closed, draw_selected_by_stage_2(LAWS[law], 200, k1, k2, 6_000, 2), atol=2e-3)


def agree(closed: Means, drawn: Drawn, atol: float = 1e-3) -> None:
    difference = values(closed) - values(drawn.means)
    assert (np.abs(difference) <= 4.5 * values(drawn.error) + 1e-6).all()
    for name in ("stage_1_calibration", "stage_2_calibration", "cross_stage_calibration"):
        assert np.abs(getattr(closed, name) - getattr(drawn.means, name)).max() < atol, name


def test_the_quadrature_meets_its_closed_forms_at_the_ends() -> None:
    stages = LAWS["correlated"]
    # All but one of many pass stage 1: as if all did.
    almost, all_of_them = selected_by_stage_2(stages, 20_000, 19_999, 5), selected_by_stage_2(stages, 20_000, 20_000, 5)
    assert values(almost) == pytest.approx(values(all_of_them), abs=1e-6)
    # All but one of many pass stage 2: nearly S_1.
    almost, all_of_them = selected_by_stage_2(stages, 20_000, 5000, 4999), selected_by_stage_1(stages, 20_000, 5000)
    assert values(almost) == pytest.approx(values(all_of_them), abs=2e-4)


def test_two_of_two_chosen_by_uncorrelated_predictions_has_a_closed_form() -> None:
    # Nothing in common: stage 2 takes the better of two draws, stage 1's mean is that of its best 2 of 4.
    stages = TwoStages(0.0, np.diag([1.0, 1.0, 1.0]))
    seen = selected_by_stage_2(stages, 4, 2, 1)
    assert values(seen) == pytest.approx([0, float(expected_top(2, 4)), 1 / np.sqrt(np.pi)], abs=1e-9)


def test_a_million_candidates_take_no_longer() -> None:
    seen = selected_by_stage_2(LAWS["correlated"], 10**6, 10**5, 10**4)
    assert seen.truth < seen.stage_2 < seen.stage_1


def test_the_same_seed_draws_the_same() -> None:
    first, again, other = (draw_selected_by_stage_1(LAWS["nested"], 50, [5], 100, seed) for seed in (1, 1, 2))
    assert (values(first.means) == values(again.means)).all()
    assert (values(first.means) != values(other.means)).all()


def test_impossible_stages_and_selections_are_refused() -> None:
    for make in (
        lambda: classical_stages(0, 1, 1, 1, rho=1.1),
        lambda: nested_stages(0, 1, 0.2, 0.3),
        lambda: TwoStages(0.0, np.array([[1, 2, 0], [2, 1, 0], [0, 0, 1.0]])),
        lambda: selected_by_stage_2(LAWS["nested"], 10, 3, 4),
        lambda: draw_selected_by_stage_2(LAWS["nested"], 10, 3, 4, 100, 0),
        lambda: draw_selected_by_stage_1(LAWS["nested"], 10, [11], 100, 0),
        lambda: draw_selected_by_stage_1(LAWS["nested"], 10, [1], 1, 0),
    ):
        with pytest.raises(TheoryError):
            make()
