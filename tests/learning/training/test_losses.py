"""Soft labels, temperature, smoothing and shares in a request."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ukdsl_assets.learning.training.losses import (
    NOT_LISTED,
    lists_of,
    listwise_cross_entropy,
    smoothed,
    soft_label_cross_entropy,
    softened,
)

SHARES = st.floats(0.01, 0.99)


@given(st.lists(st.tuples(SHARES, st.floats(-8, 8), st.floats(0, 5)), max_size=20))
def test_cross_entropy_is_its_formula(rows: list[tuple[float, float, float]]) -> None:
    target, logit, weight = np.array(rows, np.float64).reshape(-1, 3).T
    p = 1 / (1 + np.exp(-logit))
    naive = -(weight * (target * np.log(p) + (1 - target) * np.log1p(-p))).sum()
    tensors = [torch.from_numpy(column.astype(np.float32)) for column in (logit, target, weight)]
    assert float(soft_label_cross_entropy(*tensors)) == pytest.approx(naive, rel=1e-3, abs=1e-4)


@given(SHARES, st.floats(0.5, 10))
def test_a_softened_teacher_is_its_logit_over_the_temperature(p: float, temperature: float) -> None:
    q = float(softened(np.array([p], np.float32), temperature)[0])
    assert np.log(q / (1 - q)) == pytest.approx(np.log(p / (1 - p)) / temperature, rel=1e-2, abs=1e-3)


def test_temperature_one_leaves_the_teacher_as_it_is_and_certainty_stays_finite() -> None:
    teacher = np.array([0, 0.3, 1], np.float32)
    assert softened(teacher, 1.0) is teacher
    assert np.isfinite(softened(teacher, 2.0)).all()


def test_smoothing_towards_the_mean_keeps_the_mean() -> None:
    label = np.array([0, 0, 1, 1, 0], np.float32)
    half = smoothed(label, 0.4, 0.5)
    assert half.mean() == pytest.approx(0.4)
    assert half.tolist() == pytest.approx([0.2, 0.2, 0.7, 0.7, 0.2])
    assert smoothed(label, 0.4, 0.0) is label
    assert len(smoothed(label[:0], 0.4, 0.5)) == 0


Row = tuple[float, float, float, float, bool]  # teacher, bid, weight, logit, whether it is considered
ROWS = st.tuples(
    st.just(0.0) | st.floats(1e-4, 1),
    st.just(0.0) | st.floats(0.01, 50),
    st.floats(1, 9),
    st.floats(-8, 8),
    st.booleans(),
)
REQUESTS = st.lists(st.lists(ROWS, min_size=1, max_size=5), min_size=1, max_size=4)


def columns(requests: list[list[Row]]) -> tuple[list[np.ndarray], np.ndarray]:
    """Teacher, value, logit and considered, [rows] each, and the requests' offsets."""
    rows = np.array([row for request in requests for row in request], np.float64)
    offsets = np.append(0, np.cumsum([len(request) for request in requests]))
    return [rows[:, 0], rows[:, 1] * rows[:, 2], rows[:, 3], rows[:, 4] > 0], offsets


def listwise(requests: list[list[Row]], factor: float = 1.0, scale: float = 1.0) -> float:
    (teacher, value, logit, considered), offsets = columns(requests)
    lists = lists_of(teacher.astype(np.float32), value * factor, considered, offsets, scale)
    request_of_row = torch.from_numpy(np.repeat(np.arange(len(requests)), np.diff(offsets)))
    share, log_value = (torch.from_numpy(each) for each in lists)
    logits = torch.from_numpy(logit.astype(np.float32))
    return float(listwise_cross_entropy(logits, share, log_value, request_of_row, len(requests)))


@given(REQUESTS, st.floats(0.1, 2))
def test_listwise_cross_entropy_is_its_formula(requests: list[list[Row]], scale: float) -> None:
    naive = 0.0
    for request in requests:
        listed = [(t, b * w, 1 / (1 + np.exp(-z))) for t, b, w, z, considered in request if considered and b > 0]
        taught = sum(t * value for t, value, _ in listed)
        served = sum(p * value for _, value, p in listed)
        if taught > 0:
            naive -= scale * sum(t * value / taught * np.log(p * value / served) for t, value, p in listed)
    assert listwise(requests, scale=scale) == pytest.approx(naive, rel=1e-3, abs=1e-4)


@given(REQUESTS, st.floats(0.01, 100))
def test_a_common_factor_of_bids_changes_no_listwise_loss(requests: list[list[Row]], factor: float) -> None:
    assert listwise(requests, factor) == pytest.approx(listwise(requests), rel=1e-3, abs=1e-4)


def test_the_listwise_gradient_is_that_of_small_differences_and_none_for_rows_in_no_list() -> None:
    share = torch.tensor([0.2, 0.8, 0.0, 0.0, 1.0], dtype=torch.float64)
    log_value = torch.tensor([0.5, -1.0, 0.3, float(NOT_LISTED), 0.0], dtype=torch.float64)
    logits = torch.tensor([0.1, -2.0, 1.5, 0.7, 0.2], dtype=torch.float64, requires_grad=True)
    request_of_row = torch.tensor([0, 0, 0, 1, 2])

    def loss(z: torch.Tensor) -> torch.Tensor:
        return listwise_cross_entropy(z, share, log_value, request_of_row, 3)

    assert torch.autograd.gradcheck(loss, (logits,))
    (gradient,) = torch.autograd.grad(loss(logits), (logits,))
    assert (gradient[:3] != 0).all()
    # A row alone in its request has the whole share whatever its logit.
    assert gradient[3:].abs().max() < 1e-12


def test_a_student_that_agrees_with_its_teacher_has_the_least_listwise_loss() -> None:
    teacher = np.array([0.1, 0.4, 0.02])
    agreeing = [(p, 2.0, 1.0, float(np.log(p / (1 - p))), True) for p in teacher]
    other = [(*row[:3], row[3] + shift, True) for row, shift in zip(agreeing, (0.3, 0, -0.2), strict=True)]
    assert listwise([agreeing]) < listwise([other])


def test_lists_of_no_rows_are_empty() -> None:
    nothing = np.empty(0)
    lists = lists_of(nothing.astype(np.float32), nothing, nothing > 0, np.zeros(1, np.int64), 1.0)
    assert len(lists.share) == len(lists.log_value) == 0
