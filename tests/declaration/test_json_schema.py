"""The JSON Schema of a declaration: it is fresh, describes every key, and takes what is shipped."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.json_schema import cascade_schema
from ukdsl_assets.declaration.read import SHIPPED
from ukdsl_assets.settings import PROJECT

FILE = PROJECT / "docs" / "cascade.schema.json"
SCHEMA = cascade_schema()
# An example for Dagster itself declares no cascade.
DECLARED = sorted(
    path
    for path in (*SHIPPED.glob("*.yaml"), *(PROJECT / "examples").glob("*/*.yaml"))
    if path.name != "dagster.yaml" and path.parent.name != "cluster"
)


class EditorLoader(yaml.SafeLoader):
    """Reads scalars as YAML 1.2 does, which editors follow: a day is a text, and 3e-3 is a number."""


EditorLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
EditorLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def content(path: Path) -> dict[str, Any]:
    """A file as an editor sees it."""
    return yaml.load(path.read_text(), EditorLoader)


def places(declared: dict[str, Any]) -> list[str]:
    """Where the schema finds something wrong, by path from the top."""
    return [
        "/".join(map(str, error.absolute_path)) or "(file)"
        for error in Draft202012Validator(SCHEMA).iter_errors(declared)
    ]


def test_the_committed_file_is_fresh() -> None:
    command = "python -m ukdsl_assets.declaration.json_schema > docs/cascade.schema.json"
    assert json.loads(FILE.read_text()) == SCHEMA, f"run `{command}`"


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_every_key_of_every_block_has_a_description() -> None:
    blocks = {"the file": SCHEMA, **SCHEMA["$defs"]}
    keys = {f"{block}.{key}": told for block, each in blocks.items() for key, told in each["properties"].items()}
    assert len(keys) > 100
    assert [key for key, told in keys.items() if not told.get("description", "").strip()] == []
    assert [name for name, block in blocks.items() if not block["description"].strip()] == []


def test_it_knows_every_key_that_a_declaration_may_have() -> None:
    assert SCHEMA["properties"].keys() == {*Cascade.model_fields, "extends"} - {"origin"}


@pytest.mark.parametrize("path", DECLARED, ids=lambda path: path.stem)
def test_it_takes_what_is_shipped(path: Path) -> None:
    assert places(content(path)) == []
    first, *_ = path.read_text().splitlines()
    assert (path.parent / first.removeprefix("# yaml-language-server: $schema=")).resolve() == FILE


def ads(change: Callable[[dict[str, Any]], Any]) -> list[str]:
    """What the schema says of simulated_ads after a change."""
    declared = content(SHIPPED / "simulated_ads.yaml")
    change(declared)
    return places(declared)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda c: c.update(stagess=[]), ["(file)"]),
        (lambda c: c.pop("stages"), ["(file)"]),
        (lambda c: c.update(origin="here"), ["(file)"]),
        (lambda c: c.update(withheld_share=1.5), ["withheld_share"]),
        (lambda c: c["students"][0].update(epoch=2), ["students/0"]),
        (lambda c: c["students"][0].update(epochs=0), ["students/0/epochs"]),
        (lambda c: c["students"][0].update(architecture="mpl"), ["students/0/architecture"]),
        (lambda c: c["students"][0].update(architecture={"embedding": 4}), ["students/0/architecture"]),
        (lambda c: c["teachers"][0].update(kind="oracle"), ["teachers/0"]),
        (lambda c: c["teachers"][0].update(trees=3), ["teachers/0"]),
        (lambda c: c["tasks"][0].update(attribution_window=86400), ["tasks/0/attribution_window"]),
        (lambda c: c.update(gates={"volume": [1]}), ["gates/volume"]),
    ],
)
def test_it_refuses_a_wrong_key(change: Callable[[dict[str, Any]], Any], expected: list[str]) -> None:
    assert ads(change) == expected


def test_a_file_that_extends_another_may_leave_out_any_key() -> None:
    assert places({"extends": "other.yaml", "name": "mine"}) == []
    assert places({"name": "mine"}) != []
    assert places({"extends": "other.yaml", "nam": "mine"}) == ["(file)"]


@pytest.mark.parametrize("kind", ["two_tower", "mlp", "dcn_v2", "deepfm", "lightgbm"])
def test_an_architecture_is_a_name_or_a_block(kind: str) -> None:
    assert ads(lambda c: c["students"][0].update(architecture=kind)) == []
    assert ads(lambda c: c["students"][0].update(architecture={"kind": kind})) == []


def properties_in(node: Any, where: str = "") -> list[tuple[str, Any]]:
    """Every property of a schema by its path, however deep it stands: in blocks, in lists and in unions."""
    if isinstance(node, list):
        return [found for place, each in enumerate(node) for found in properties_in(each, f"{where}/{place}")]
    if not isinstance(node, dict):
        return []
    own = node["properties"].items() if isinstance(node.get("properties"), dict) else ()
    found = [(f"{where}/{name}", told) for name, told in own]
    return found + [each for key, below in node.items() for each in properties_in(below, f"{where}/{key}")]


def test_every_property_however_deep_is_described() -> None:
    found = properties_in(SCHEMA)
    assert len(found) > 100
    assert [place for place, told in found if not told.get("description", "").strip()] == []


def test_every_property_that_may_be_one_of_several_blocks_leads_to_described_ones() -> None:
    def references(node: Any) -> set[str]:
        if isinstance(node, list):
            return {name for each in node for name in references(each)}
        if not isinstance(node, dict):
            return set()
        own = {node["$ref"].removeprefix("#/$defs/")} if isinstance(node.get("$ref"), str) else set()
        return own | {name for each in node.values() for name in references(each)}

    assert references(SCHEMA) == SCHEMA["$defs"].keys()
