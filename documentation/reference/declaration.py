"""Every key of a cascade's YAML, from the JSON Schema that the declaration's models make."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from documentation.markdown import code, page, sentence, table
from ukdsl_assets.declaration.json_schema import cascade_schema

INTRODUCTION = """A cascade is declared in a YAML file: its logs, stages, tasks, features, teachers, students and gates.
Every key that a file may have stands here, with its type, its default and what it means. An editor with a YAML language
server completes and checks a file while it is written if its first line names the
[JSON Schema](../cascade.schema.json): `# yaml-language-server: $schema=PATH`."""
_BOUNDS = {
    "minimum": "from {}", "exclusiveMinimum": "above {}", "maximum": "to {}", "exclusiveMaximum": "below {}",
    "minItems": "at least {}", "maxItems": "at most {}",
}  # fmt: skip


def declaration_page() -> str:
    """The page: the file's own keys, then each block; blocks of one key stand together."""
    schema = _schema()
    titles = {block_title(name, block): block for name, block in schema["$defs"].items()}
    blocks = [_block(title, titles[title]) for title in sorted(titles)]
    return page("Declaration", INTRODUCTION, f"## The file\n\n{_keys(schema, schema['else']['required'])}", *blocks)


def block_title(name: str, block: Mapping[str, Any]) -> str:
    """LoggedTeacher -> Teacher: logged, by the word of `kind` that chooses the block; LossWeights -> Loss weights."""
    words = re.findall(r"[A-Z][a-z]*", name)
    kind = block["properties"].get("kind", {}).get("const")
    return f"{words[-1]}: {kind}" if kind else " ".join([words[0], *(word.lower() for word in words[1:])])


@cache
def _schema() -> dict[str, Any]:
    return cascade_schema()


def _block(title: str, block: Mapping[str, Any]) -> str:
    said = sentence(block.get("description", ""))
    return f"## {title}\n\n{said}\n\n{_keys(block, block.get('required', ()))}"


def _keys(block: Mapping[str, Any], required: Any) -> str:
    rows = [
        (code(key), _type(about), _default(key, about, required), sentence(about.get("description", "")))
        for key, about in block["properties"].items()
    ]
    return table(("key", "type", "default", "meaning"), rows)


def _default(key: str, about: Mapping[str, Any], required: Any) -> str:
    if "default" not in about or key in required:
        return "**required**" if key in required else ""
    value = about["default"]
    if value is None:
        return "none"
    if isinstance(value, dict) and value:
        # Its keys have their own defaults, in the block's table.
        return "the block's defaults"
    return code(json.dumps(value, ensure_ascii=False).strip('"') or '""')


def _type(about: Mapping[str, Any]) -> str:
    """In words, with links to the blocks and the bounds of numbers."""
    if "$ref" in about:
        return _link(about["$ref"])
    for several in ("oneOf", "anyOf"):
        if several in about:
            types = [_type(each) for each in about[several] if each.get("type") != "null"]
            return " or ".join(dict.fromkeys(types))
    if "enum" in about:
        return ", ".join(code(value) for value in about["enum"])
    if "const" in about:
        return code(about["const"])
    kind = about.get("type")
    bounds = " ".join(text.format(about[bound]) for bound, text in _BOUNDS.items() if bound in about)
    if kind == "array":
        return _array(about, bounds)
    if kind == "object":
        values = about.get("additionalProperties")
        return f"mapping of name to {_type(values)}" if isinstance(values, dict) and values else "mapping"
    word = {"integer": "whole number", "number": "number", "boolean": "true or false"}.get(str(kind), "text")
    if kind == "string":
        formats = {"date": "day (YYYY-MM-DD)", "duration": "duration (ISO 8601, such as P1D)"}
        word = formats.get(about.get("format", ""), "name" if about.get("maxLength") == 48 else "text")
    return f"{word}, {bounds}" if bounds else word


def _array(about: Mapping[str, Any], bounds: str) -> str:
    if "prefixItems" in about:
        return "list of " + ", ".join(_type(each) for each in about["prefixItems"])
    items = _type(about.get("items", {}))
    return f"list of: {items}" + (f" ({bounds})" if bounds and "minItems" in about else "")


def _link(reference: str) -> str:
    name = reference.rsplit("/", 1)[-1]
    block = _schema()["$defs"][name]
    title = block_title(name, block)
    anchor = re.sub(r"[^a-z0-9_ -]", "", title.lower()).replace(" ", "-")
    return f"[{title}](#{anchor})"
