"""Cascades that between them use everything a declaration can say about logs."""

import pytest

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.read import SHIPPED, read_cascade


@pytest.fixture(scope="session")
def ads() -> Cascade:
    """The shipped simulated cascade: integer identifiers, bids, truths, vectors."""
    return read_cascade(SHIPPED / "simulated_ads.yaml")


@pytest.fixture(scope="session")
def shop() -> Cascade:
    """String identifiers, string categories, a late request-side feature, a stage without predictions, no bid."""
    return Cascade.model_validate(
        {
            "name": "shop",
            "description": "test",
            "first_day": "2026-01-01",
            "identifiers": "string",
            "stages": [{"name": "recall", "predicts": []}, {"name": "sort"}, {"name": "final", "predicts": []}],
            "tasks": [{"name": "buy", "event": "order", "attribution_window": "P1D"}],
            "features": [
                # Names of dataframely.Schema's own methods, on purpose.
                {"name": "filter", "kind": "categorical", "values": "string", "side": "request"},
                {"name": "income", "kind": "numeric", "side": "request", "known_from": "sort"},
                {"name": "price", "kind": "numeric", "side": "candidate"},
                {"name": "image", "kind": "vector", "width": 3, "side": "candidate", "known_from": "final"},
            ],
            "source": {"kind": "parquet", "path": "unused"},
        }
    )
