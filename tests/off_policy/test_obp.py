"""Our formulas on the rows of zr-obp's estimators give zr-obp's estimates.

The recorded figures are of obp 0.5.7 on `rows(seed=7)`. Where OBP_PYTHON names a Python that has obp, its own figures
on other rows are compared too.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ukdsl_assets.off_policy.estimators import (
    Choices,
    direct,
    doubly_robust,
    ips,
    self_normalised_doubly_robust,
    snips,
    switch_doubly_robust,
)
from ukdsl_assets.off_policy.weights import before, of_cascade
from ukdsl_assets.settings import PROJECT

ACTIONS, SLOTS, CLIP, SWITCH = 5, 3, 2.0, 1.5
RECORDED = Path(__file__).parent / "obp_0_5_7.json"
OBP_PYTHON = os.environ.get("OBP_PYTHON")


def rows(seed: int) -> dict[str, Any]:
    """Single choices at a position, and slates drawn without repeats, as obp names their arrays; JSON values.

    Rounded to six digits, so that the text holds them exactly.
    """
    rng = np.random.default_rng(seed)
    count = 40

    def rounded(values: Any) -> Any:
        return np.round(np.asarray(values, np.float64), 6).tolist()

    action, position = rng.integers(ACTIONS, size=count), rng.integers(SLOTS, size=count)
    dist = rng.dirichlet(np.ones(ACTIONS), size=(count, SLOTS)).transpose(0, 2, 1)
    single = {
        "reward": rng.integers(2, size=count).tolist(),
        "action": action.tolist(),
        "position": position.tolist(),
        "pscore": rounded(rng.uniform(0.05, 0.6, count)),
        "action_dist": rounded(dist),
        "estimated_rewards": rounded(rng.uniform(0, 1, (count, ACTIONS, SLOTS))),
    }
    # obp asks that a distribution sums to 1 to the last digit that it looks at.
    fixed = np.array(single["action_dist"])
    fixed[:, -1] += 1 - fixed.sum(1)
    single["action_dist"] = fixed.tolist()
    slates = 12
    order = np.argsort(rng.uniform(size=(slates, ACTIONS)), axis=1)[:, :SLOTS]
    item = rounded(rng.uniform(0.1, 0.5, slates * SLOTS)), rounded(rng.uniform(0.05, 0.6, slates * SLOTS))
    steps = rng.uniform(0.2, 0.8, (2, slates, SLOTS))
    cascade = [rounded(np.cumprod(each, axis=1).ravel()) for each in steps]
    conditional = rng.dirichlet(np.ones(ACTIONS), size=(slates, SLOTS))
    conditional = np.round(conditional, 6)
    conditional[..., -1] += 1 - conditional.sum(-1)
    of_slates = {
        "slate_id": np.repeat(np.arange(slates), SLOTS).tolist(),
        "position": np.tile(np.arange(SLOTS), slates).tolist(),
        "action": order.ravel().tolist(),
        "reward": rng.integers(2, size=slates * SLOTS).tolist(),
        "pscore_item_position": item[0],
        "evaluation_policy_pscore_item_position": item[1],
        "pscore_cascade": cascade[0],
        "evaluation_policy_pscore_cascade": cascade[1],
        "q_hat": rounded(rng.uniform(0, 1, slates * SLOTS * ACTIONS)),
        "evaluation_policy_action_dist": conditional.ravel().tolist(),
    }
    return {"single": single, "slates": of_slates, "clip": CLIP, "switch": SWITCH, "actions": ACTIONS}


def ours(given: dict[str, Any]) -> dict[str, float]:
    """The same estimates by our formulas."""
    s = {key: np.array(value) for key, value in given["single"].items()}
    each = np.arange(len(s["action"]))
    dist = s["action_dist"][each, :, s["position"]]
    model = s["estimated_rewards"][each, :, s["position"]]
    single = Choices(
        request=each,
        slot=np.zeros(len(each), np.int64),
        reward=s["reward"].astype(np.float64),
        weight=dist[each, s["action"]] / s["pscore"],
        model=model[each, s["action"]],
        expected=(dist * model).sum(1),
        before=np.ones(len(each)),
        requests=len(each),
    )
    found = {
        "ips": ips(single),
        "clipped ips": ips(single.clipped(CLIP)),
        "snips": snips(single),
        "direct": direct(single),
        "dr": doubly_robust(single),
        "clipped dr": doubly_robust(single.clipped(CLIP)),
        "sndr": self_normalised_doubly_robust(single),
        "switch_dr": switch_doubly_robust(SWITCH)(single),
    }
    p = {key: np.array(value) for key, value in given["slates"].items()}
    nothing = np.zeros(len(p["action"]))
    slots = Choices(
        request=p["slate_id"],
        slot=p["position"],
        reward=p["reward"].astype(np.float64),
        weight=p["evaluation_policy_pscore_item_position"] / p["pscore_item_position"],
        model=nothing,
        expected=nothing,
        before=np.ones(len(nothing)),
        requests=int(p["slate_id"].max()) + 1,
    )
    # From joint probabilities to those of each choice given the ones above, and back.
    joint = p["evaluation_policy_pscore_cascade"] / p["pscore_cascade"]
    weight = of_cascade(joint / before(joint, p["slate_id"]), p["slate_id"])
    q_hat = p["q_hat"].reshape(-1, ACTIONS)
    chance = p["evaluation_policy_action_dist"].reshape(-1, ACTIONS)
    cascade = slots._replace(
        weight=weight,
        before=before(weight, p["slate_id"]),
        model=q_hat[np.arange(len(q_hat)), p["action"]],
        expected=(chance * q_hat).sum(1),
    )
    found |= {
        "slots ips": ips(slots),
        "slots snips": snips(slots),
        "rips": ips(cascade),
        "self-normalised rips": snips(cascade),
        "cascade_dr": doubly_robust(cascade),
    }
    return {name: float(parts.mean()) for name, parts in found.items()}


def test_estimates_are_those_that_obp_gave() -> None:
    recorded = json.loads(RECORDED.read_text())
    assert recorded["figures"].pop("obp") == "0.5.7"
    assert ours(recorded["rows"]) == pytest.approx(recorded["figures"], rel=1e-9)


@pytest.mark.skipif(OBP_PYTHON is None, reason="OBP_PYTHON names no Python that has obp 0.5")
@pytest.mark.slow
def test_estimates_are_those_that_obp_gives() -> None:
    given = rows(seed=11)
    command = [str(OBP_PYTHON), "-m", "tests.off_policy.obp_reference"]
    done = subprocess.run(
        command, input=json.dumps(given), capture_output=True, text=True, cwd=PROJECT, check=True, timeout=300
    )
    figures = json.loads(done.stdout)
    assert figures.pop("obp").startswith("0.5.")
    assert ours(given) == pytest.approx(figures, rel=1e-9)
