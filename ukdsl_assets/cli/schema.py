"""`ukdsl schema`: what a declaration may say, for editors."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ukdsl_assets.cli.common import check_output, hints


def schema(
    output: Annotated[Path | None, typer.Option(help="File to write; printed if left out.")] = None,
) -> None:
    """Print the JSON Schema of a declaration, by which editors complete keys and underline what is wrong.

    Write it once, ukdsl schema --output cascade.schema.json, and begin each YAML file with its path from there:

    # yaml-language-server: $schema=../cascade.schema.json

    VS Code (extension YAML), Neovim, Emacs and Helix (yaml-language-server) and JetBrains' editors read that line.
    It judges every key alone; `ukdsl validate` judges what keys say together.
    """
    from ukdsl_assets.declaration.json_schema import cascade_schema

    text = json.dumps(cascade_schema(), indent=2, ensure_ascii=False)
    if output is None:
        print(text)
        return
    check_output("--output", output)
    output.write_text(text + "\n", encoding="utf-8")
    hints.print(
        f"{output}: begin a declaration beside it with\n# yaml-language-server: $schema={output.name}",
        highlight=False,
        soft_wrap=True,
    )
