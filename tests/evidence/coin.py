"""A small real study: how often a coin of a known chance falls heads, measured by drawing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ukdsl_assets.evidence.study import Rows, Study, TableOf, Told


def measure(settings: Mapping[str, Any], scratch: Path, told: Told) -> Rows:
    """Draws; leaves a file for each measurement, so that a test can count them. Refuses a chance above 1."""
    if settings["chance"] > 1:
        raise ValueError(f"a chance of {settings['chance']}")
    rng = np.random.default_rng(settings["seed"])
    (scratch / f"measured-{settings['seed']}-{rng.bit_generator.random_raw()}").touch()
    heads = np.random.default_rng(settings["seed"]).random(settings["draws"]) < settings["chance"]
    told(1, 1)
    return {"main": [{"side": "heads", "share": heads.mean()}, {"side": "tails", "share": 1 - heads.mean()}]}


STUDY = Study(
    name="coin",
    question="How often does it fall heads?",
    data="drawn, {draws:,} draws at a chance of {chance}",
    version=1,
    measure=measure,
    defaults={"draws": 400, "chance": 0.3},
    meanings={"draws": "how often it is thrown", "chance": "of heads"},
    tables=(
        TableOf(
            "main",
            "Sides",
            keys=("side",),
            figures={"share": ".1%"},
            beside=({"side": "heads, expected", "share": "30%"},),
        ),
    ),
    seeds=4,
)
