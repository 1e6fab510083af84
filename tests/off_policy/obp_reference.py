"""What zr-obp's estimators say of the rows on standard input: a program of its own, for a Python that has obp 0.5.

    OBP_PYTHON -m tests.off_policy.obp_reference < rows.json > figures.json

The rows are those of `test_obp.rows`; no other module of the project is imported.
"""

import json
import sys
from importlib.metadata import version

import numpy as np


def figures(rows: dict) -> dict:
    """Name of an estimator -> obp's estimate."""
    from obp import ope  # type: ignore[import-not-found]

    single = {key: np.array(value) for key, value in rows["single"].items()}
    common = {key: single[key] for key in ("reward", "action", "position", "pscore", "action_dist")}
    model = {"estimated_rewards_by_reg_model": single["estimated_rewards"]}
    clip, switch = rows["clip"], rows["switch"]
    found = {
        "ips": ope.InverseProbabilityWeighting().estimate_policy_value(**common),
        "clipped ips": ope.InverseProbabilityWeighting(lambda_=clip).estimate_policy_value(**common),
        "snips": ope.SelfNormalizedInverseProbabilityWeighting().estimate_policy_value(**common),
        "direct": ope.DirectMethod().estimate_policy_value(
            action_dist=common["action_dist"], position=common["position"], **model
        ),
        "dr": ope.DoublyRobust().estimate_policy_value(**common, **model),
        "clipped dr": ope.DoublyRobust(lambda_=clip).estimate_policy_value(**common, **model),
        "sndr": ope.SelfNormalizedDoublyRobust().estimate_policy_value(**common, **model),
        "switch_dr": ope.SwitchDoublyRobust(lambda_=switch).estimate_policy_value(**common, **model),
    }
    slates = {key: np.array(value) for key, value in rows["slates"].items()}
    length, actions = int(slates["position"].max()) + 1, rows["actions"]
    of_rows = {key: slates[key] for key in ("slate_id", "reward", "position")}
    item = {key: slates[key] for key in ("pscore_item_position", "evaluation_policy_pscore_item_position")}
    cascade = {key: slates[key] for key in ("pscore_cascade", "evaluation_policy_pscore_cascade")}
    of_model = {key: slates[key] for key in ("action", "q_hat", "evaluation_policy_action_dist")}
    found |= {
        "slots ips": ope.SlateIndependentIPS(len_list=length).estimate_policy_value(**of_rows, **item),
        "slots snips": ope.SelfNormalizedSlateIndependentIPS(len_list=length).estimate_policy_value(**of_rows, **item),
        "rips": ope.SlateRewardInteractionIPS(len_list=length).estimate_policy_value(**of_rows, **cascade),
        "self-normalised rips": ope.SelfNormalizedSlateRewardInteractionIPS(len_list=length).estimate_policy_value(
            **of_rows, **cascade
        ),
        "cascade_dr": ope.SlateCascadeDoublyRobust(len_list=length, n_unique_action=actions).estimate_policy_value(
            **of_rows, **cascade, **of_model
        ),
    }
    return {"obp": version("obp"), **{name: float(value) for name, value in found.items()}}


if __name__ == "__main__":
    print(json.dumps(figures(json.load(sys.stdin)), indent=1))
