"""Every setting, from the model that reads them."""

import os
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from documentation.markdown import code, page, sentence, table
from ukdsl_assets.settings import PROJECT, Settings

INTRODUCTION = """Settings are environment variables; each has a default, so that none is needed. They are read when a
command starts or the UI loads its definitions. A project's folder keeps its own in the file `.env`, and the environment
goes before that file: [a project](../how-to/project.md)."""
# What follows the table.
OTHERS = (
    """Dagster keeps its runs and schedules below `DAGSTER_HOME`, a folder; in a project that is the project's own."""
)


def settings_page() -> str:
    """The page of all fields of `Settings`."""
    prefix = Settings.model_config["env_prefix"]
    rows = [
        (
            code(f"{prefix}{name.upper()}"),
            _type(field.annotation),
            _default(name, field),
            sentence(field.description or ""),
        )
        for name, field in Settings.model_fields.items()
    ]
    return page("Settings", INTRODUCTION, table(("variable", "values", "default", "meaning"), rows), OTHERS)


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(code(value) for value in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(_type(each) for each in get_args(annotation) if each is not NoneType)
    names = {int: "whole number", float: "number", bool: "true or false", str: "text", Path: "folder"}
    return names.get(annotation, "time with a zone" if "datetime" in str(annotation).lower() else "text")


def _default(name: str, field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    if default is None:
        return "none"
    if name == "threads" and default == (os.cpu_count() or 1):
        return "all cores"
    # A folder of this machine says nothing to a reader of the page.
    path = Path(str(default))
    if path.is_absolute() and not path.is_relative_to(PROJECT):
        return "a folder beside the clone"
    return code(path.relative_to(PROJECT) if path.is_absolute() else default)
