"""The cascades whose logs this room judges."""

import pytest

from tests.fixtures.log_cascades import ADS, SHOP
from ukdsl_assets.declaration.cascade import Cascade


@pytest.fixture(scope="session")
def ads() -> Cascade:
    """The shipped simulated cascade."""
    return ADS


@pytest.fixture(scope="session")
def shop() -> Cascade:
    """A cascade of strings, without bids and truths."""
    return SHOP
