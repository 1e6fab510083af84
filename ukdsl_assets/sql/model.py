"""A file of dbt_like_sql or a user's own, as declared: the YAML header of its comment lines, the template below."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from ukdsl_assets.declaration.block import OWNER
from ukdsl_assets.declaration.yaml_text import parse_yaml
from ukdsl_assets.errors import SqlModelError

# As SQL reads it without quotes, and as Dagster names what it makes.
_TABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
# "identifier" is the type of the cascade's request_id and candidate_id, "declared" that of a feature's declaration.
ColumnType = Literal[
    "identifier",
    "declared",
    "BIGINT",
    "BIGINT[]",
    "BOOLEAN",
    "DOUBLE",
    "FLOAT",
    "FLOAT[]",
    "TIMESTAMP WITH TIME ZONE",
    "VARCHAR",
    "VARCHAR[]",
]
ListParameter = Literal["$stages", "$tasks"]


class Column(BaseModel):
    """Description and rules of one output column.

    between: (lowest, highest) allowed, None for an open end. one_of: allowed values, or the list parameter
    that holds them. Nulls break no rule but `not_null`; NaN and infinity always break one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str
    type: ColumnType
    not_null: bool = False
    between: tuple[float | None, float | None] | None = None
    one_of: tuple[str | float, ...] | ListParameter | None = None


class SqlModel(BaseModel):
    """One model: what its header declares, and its Jinja template.

    table: the table that it makes; the file's name unless the header says otherwise.
    scope: the kind of thing that there is one such table for.
    keys: columns by which rows are unique and in which order they stand.
    shard_key: "request_id" if the model may run on each shard of requests alone, None if it needs all rows at once.
    columns: by name; a name in angle brackets stands for a family of columns (see `render`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    path: Path
    template: str
    table: str = Field(pattern=_TABLE)
    description: str
    owner: str = Field(pattern=OWNER)
    scope: Literal["cascade", "teacher", "student"]
    keys: tuple[str, ...] = Field(min_length=1)
    shard_key: Literal["request_id"] | None
    columns: Mapping[str, Column] = Field(min_length=1)

    @field_validator("shard_key")
    @classmethod
    def _key_of_two_shards_differs(cls, shard_key: str | None, others: ValidationInfo) -> str | None:
        if shard_key is not None and shard_key not in others.data.get("keys", (shard_key,)):
            raise ValueError("expected one of `keys`, or `none`")
        return shard_key


def read_models(folder: Path, own: Path | None = None) -> dict[str, SqlModel]:
    """Every .sql file below `folder`, by name, in the order of their paths.

    Args:
        folder: of the shipped models.
        own: of a user's models, which replace those of the same name and stand beside the others; None: none.

    Raises:
        SqlModelError: for a missing folder, a wrong header, two files of the same name in one folder, or a model that
            replaces another without keeping what is read of it.
    """
    models = _models_of(folder)
    if own is None:
        return models
    for name, model in _models_of(own).items():
        if name in models:
            _check_replacement(model, models[name])
        models[name] = model
    return models


def _models_of(folder: Path) -> dict[str, SqlModel]:
    if not folder.is_dir():
        raise SqlModelError(f"{folder}: no such folder of SQL models; make it, or set UKDSL_SQL to one")
    models: dict[str, SqlModel] = {}
    for path in sorted(folder.rglob("*.sql")):
        if path.stem in models:
            raise SqlModelError(f"{path}: the name `{path.stem}` is taken by {models[path.stem].path}; choose another")
        models[path.stem] = read_model(path)
    return models


def _check_replacement(own: SqlModel, ours: SqlModel) -> None:
    """Refuse a model in place of another if what reads the table would miss something; more columns are welcome."""
    fix = f"write it as {ours.path} has it, or give the file another name to make a table beside it"
    for key in ("table", "scope", "keys", "shard_key"):
        seen, expected = getattr(own, key), getattr(ours, key)
        if seen != expected:
            raise SqlModelError(f"{own.path}: it replaces `{ours.name}`: {key}: saw {seen}, expected {expected}; {fix}")
    if absent := [name for name in ours.columns if name not in own.columns]:
        raise SqlModelError(
            f"{own.path}: it replaces `{ours.name}` without its column(s) {', '.join(absent)}, which other tables and "
            f"steps read; {fix}"
        )
    for name, column in ours.columns.items():
        if own.columns[name].type != column.type:
            seen, expected = own.columns[name].type, column.type
            raise SqlModelError(
                f"{own.path}: it replaces `{ours.name}`: columns.{name}: saw type {seen}, expected {expected}; {fix}"
            )


def read_model(path: Path) -> SqlModel:
    """Read one file and check its header.

    Raises:
        SqlModelError: names the file, the line or key, what was seen and what was expected.
    """
    try:
        template = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SqlModelError(f"{path}: not readable as UTF-8: {error}; write it again in UTF-8") from None
    header = _header(path, template)
    taken = sorted({"name", "path", "template"} & set(header))
    if taken:
        raise SqlModelError(f"{path}: header key `{taken[0]}` is not allowed: it follows from the file itself")
    header = {"table": path.stem, **header, "name": path.stem, "path": path, "template": template}
    if header.get("shard_key") == "none":
        header["shard_key"] = None
    try:
        return SqlModel.model_validate(header)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, item['loc']))}: {item['msg']}{_saw(item)}" for item in error.errors()]
        raise SqlModelError(f"{path}: {len(lines)} wrong key(s) in the header\n" + "\n".join(lines)) from None


def _header(path: Path, template: str) -> dict[str, Any]:
    lines = []
    for line in template.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").removeprefix(" "))
    try:
        header = parse_yaml("\n".join(lines))
    except yaml.YAMLError as error:
        # The header starts on the file's first line, so YAML's line is the file's.
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else error
        raise SqlModelError(f"{path}: {line}the header is not YAML: {problem}; quote texts that hold `: `") from None
    if not isinstance(header, dict):
        raise SqlModelError(
            f"{path}: line 1: expected a header of `-- key: value` comment lines (description, owner, scope, keys, "
            f"shard_key, columns), saw {template[:40]!r}"
        )
    return header


def _saw(item: Any) -> str:
    return "" if item["type"] == "missing" or isinstance(item["input"], dict) else f" (saw {item['input']!r})"
