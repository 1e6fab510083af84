"""Names of values are checked where they are declared, and reach people alone: no model and no fingerprint."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from tests.fixtures.shop import DECLARATION, declare
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.errors import DeclarationError
from ukdsl_assets.reports.segments import with_names

IDS: dict[str, Any] = {"name": "country", "kind": "categorical", "side": "request"}


def test_names_are_of_values_as_texts_in_the_order_of_the_file() -> None:
    country = Feature.model_validate(IDS | {"names": {0: "Germany", -1: "nowhere", "2": "France"}})
    assert country.names == (("0", "Germany"), ("-1", "nowhere"), ("2", "France"))
    assert Feature.model_validate(country.model_copy()).names == country.names


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"names": {"de": "Germany"}}, "'de' by a name, which is no value of type integer"),
        ({"names": {"007": "Bond"}}, "'007' by a name"),
        ({"names": {2**70: "far"}}, "no value of type integer"),
        ({"values": "string", "names": {False: "Norway"}}, "False is neither a whole number nor a text"),
        ({"names": {1.5: "half"}}, "1.5 is neither"),
        ({"names": {0: "one", 1: "one", 2: "one"}}, "0 and 1 are both called 'one'"),
        ({"names": {0: "one", "0": "two"}}, "0 has two names"),
        ({"names": {0: 5}}, "in quotes where it is a number"),
        ({"names": {0: " "}}, "expected a text"),
        ({"names": {0: "x" * 61}}, "at most 60"),
        ({"names": {}}, "at least 1"),
        ({"names": "names.csv"}, "expected a mapping of values to names"),
        ({"kind": "numeric", "names": {0: "zero"}}, "`names` is for categorical and multi_valued features"),
    ],
)
def test_names_that_cannot_be_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Feature.model_validate(IDS | changes)


def test_a_wrong_name_is_told_with_its_file_and_key(tmp_path: Path) -> None:
    features = [DECLARATION["features"][0], DECLARATION["features"][1] | {"names": {"lamp": "Lamp"}}]
    with pytest.raises(DeclarationError, match=r"shop.yaml.*\n.*features.item.*'lamp' by a name"):
        declare(tmp_path, features=features)


def test_names_change_nothing_that_a_model_is_made_of() -> None:
    plain, named = (Feature.model_validate(IDS | names) for names in ({}, {"names": {0: "Germany"}}))
    assert named.model_dump(mode="json") == plain.model_dump(mode="json")
    assert len({plain, named, named}) == 2


def test_groups_of_a_segment_get_names_and_deciles_do_not(tmp_path: Path) -> None:
    features = [DECLARATION["features"][0] | {"names": {"de": "Germany", "01": "a decile's text"}}]
    cascade = declare(tmp_path, features=[*features, *DECLARATION["features"][1:]])
    groups = pl.DataFrame({"by": ["country", "country", "decile"], "group": ["de", "fr", "01"], "rows": [3, 2, 1]})
    assert with_names(cascade, groups)["group"].to_list() == ["Germany", "fr", "01"]
    assert with_names(cascade, groups.clear()).is_empty()
