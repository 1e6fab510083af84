"""The gates of a trained checkpoint, on tensors and predictions by hand."""

import numpy as np

from ukdsl_assets.learning.features.encoding import EMBEDDING
from ukdsl_assets.learning.training.gates import (
    no_withheld_request,
    parameters_finite,
    same_predictions,
    serves_the_main_task_alone,
)
from ukdsl_assets.learning.training.requests_read import RequestsRead


def test_parameters_that_are_not_finite_are_found_by_name() -> None:
    assert parameters_finite({"bias": np.zeros(2, np.float32)}).passed
    result = parameters_finite({"bias": np.array([1, np.nan, np.inf], np.float32)})
    assert result.blocks
    assert "{'bias': 2}" in result.message
    assert result.seen == {"parameters": 3, "not_finite": 2}


def test_a_reloaded_prediction_must_be_the_same_bit_by_bit() -> None:
    p = {"impression": np.array([0.1, 0.2], np.float32)}
    assert same_predictions(p, {"impression": p["impression"].copy()}).passed
    assert same_predictions(p, {"impression": np.nextafter(p["impression"], np.float32(1))}).blocks
    assert same_predictions(p, {}).blocks


def test_the_largest_difference_of_any_head_is_told() -> None:
    p = {"a": np.array([0.5, 0.5], np.float32), "b": np.array([0.5, 0.5], np.float32)}
    result = same_predictions(p, {"a": np.array([0.5, 0.5], np.float32), "b": np.array([0.75, 0.375], np.float32)})
    assert result.seen == {"largest_difference": 0.25}
    assert "largest difference of a reloaded prediction: 0.25; expected 0" in result.message


def test_a_layer_that_the_baseline_lacks_or_has_otherwise_is_found_by_name() -> None:
    layers = {
        "hidden": np.zeros((2, 3), np.float32),
        "bias": np.zeros(2, np.float32),
        EMBEDDING: np.zeros((9, 4), np.float32),
    }
    baseline = {"hidden": (2, 3), "bias": (2,)}
    result = serves_the_main_task_alone(layers, baseline)
    assert (result.passed, result.seen) == (True, {"parameters": 8, "baseline": 8})
    for wrong, name in (
        ({**layers, "teacher": np.zeros(1, np.float32)}, "teacher"),
        ({**layers, "bias": np.zeros(3, np.float32)}, "bias"),
        ({"hidden": layers["hidden"]}, "bias"),
    ):
        result = serves_the_main_task_alone(wrong, baseline)
        assert result.blocks
        assert result.message.endswith(f"different: {name}")


def test_a_withheld_request_in_training_is_found_and_shown() -> None:
    assert no_withheld_request([RequestsRead(3), RequestsRead(4)]).passed
    result = no_withheld_request([RequestsRead(3), RequestsRead(4, 1, (6,)), RequestsRead(2)])
    assert result.blocks
    assert "1 of 9 requests" in result.message
    assert "[6]" in result.message
