"""The JSON Schema of a declaration: by it an editor completes and checks a cascade's YAML while it is written.

After a change of what a declaration may say, write it anew:

    python -m ukdsl_assets.declaration.json_schema > docs/cascade.schema.json

An editor finds it by the first line of a YAML file, which gives its path from there:

    # yaml-language-server: $schema=../../docs/cascade.schema.json

It judges every key alone. What keys say together, such as a name that refers to nothing, `read_cascade` judges.
"""

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from ukdsl_assets.declaration.cascade import Cascade

DESCRIPTION = "A ranking cascade: its logs, stages, tasks, features, teachers, students and gates."
EXTENDS = "Another declaration beside this file, which gives every key that is left out here; keys are not merged."


def cascade_schema() -> dict[str, Any]:
    """What a declaration's file may say, as JSON Schema (draft 2020-12); the same on every call.

    A file that `extends` another may leave out any key.
    """
    schema = Cascade.model_json_schema(schema_generator=_WithoutTitles)
    for block in schema["$defs"].values():
        if "const" in block["properties"].get("kind", {}):
            # It may have a default in Python; in a file it chooses the block and must stand there.
            block["required"] = list(dict.fromkeys([*block.get("required", ()), "kind"]))
    required, properties = schema.pop("required"), schema.pop("properties")
    head = {"$schema": GenerateJsonSchema.schema_dialect, "title": "Cascade", "description": DESCRIPTION}
    extends = {"extends": {"type": "string", "description": EXTENDS}}
    return {
        **head,
        **_unwrapped({"properties": extends | properties}),
        "if": {"required": ["extends"]},
        "else": {"required": required},
        **_unwrapped({key: value for key, value in schema.items() if key not in head}),
    }


class _WithoutTitles(GenerateJsonSchema):
    """Keys have no title beside their name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _unwrapped(node: Any) -> Any:
    """Descriptions with one line a paragraph; in the source they are wrapped."""
    if isinstance(node, list):
        return [_unwrapped(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: "\n\n".join(" ".join(part.split()) for part in value.split("\n\n"))
        if key == "description" and isinstance(value, str)
        else _unwrapped(value)
        for key, value in node.items()
    }


if __name__ == "__main__":
    print(json.dumps(cascade_schema(), indent=2, ensure_ascii=False))
