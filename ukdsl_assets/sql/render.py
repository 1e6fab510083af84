"""From a model and a declaration to one SQL query: rendered, parsed, its upstream tables and parameters known."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from graphlib import CycleError, TopologicalSorter
from traceback import walk_tb
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from sqlglot import exp, parse
from sqlglot.errors import ParseError, TokenError
from sqlglot.optimizer.scope import traverse_scope

from ukdsl_assets.errors import SqlModelError
from ukdsl_assets.sql.context import families
from ukdsl_assets.sql.model import Column, SqlModel


@dataclass(frozen=True)
class RenderedModel:
    """A model as one DuckDB query.

    sql: its text, header included. tree: the same, parsed; not to be changed.
    depends_on: upstream tables, in alphabetical order. parameters: names that the query binds, in alphabetical order.
    columns: the declared output columns in order, families resolved, with DuckDB types.
    """

    model: SqlModel
    sql: str
    tree: exp.Query
    depends_on: tuple[str, ...]
    parameters: tuple[str, ...]
    columns: Mapping[str, Column]


def render(model: SqlModel, context: Mapping[str, Any]) -> RenderedModel:
    """Fill in the names of `context` (from `template_context`) and parse the query.

    Raises:
        SqlModelError: for an unknown name, what is not one SELECT ordered by the keys, a file read past the declared
            tables, or a header that names an unknown family or a column twice.
    """
    try:
        sql = _template(model.template).render(context)
    except Exception as error:  # a template is a program, which may fail in any way
        problem = getattr(error, "message", None) or error
        raise SqlModelError(
            f"{model.path}: line {_template_line(error)}: template of `{model.name}`: {problem}. Names that a model of "
            f"scope {model.scope} may use: {', '.join(context)}"
        ) from None
    tree = _parse(model, sql)
    depends_on = _upstream_tables(model, tree)
    _check_order(model, tree)
    return RenderedModel(
        model=model,
        sql=sql,
        tree=tree,
        depends_on=depends_on,
        parameters=tuple(sorted({node.name for node in tree.find_all(exp.Placeholder)})),
        columns=_columns(model, context),
    )


def in_dependency_order(models: Iterable[RenderedModel], given: Collection[str]) -> list[RenderedModel]:
    """The models so that each stands after those it reads.

    Args:
        models: any number, at most one a table.
        given: tables that exist without a model, such as candidate_log and event_log.

    Raises:
        SqlModelError: for two models of one table, an unknown upstream table, or a cycle.
    """
    by_table: dict[str, RenderedModel] = {}
    for rendered in models:
        other = by_table.setdefault(rendered.model.table, rendered)
        if other is not rendered:
            raise SqlModelError(
                f"{rendered.model.path}: table `{rendered.model.table}` is made by {other.model.path}; give it another "
                f"table, or call the file {other.model.name}.sql to replace that one"
            )
    for rendered in by_table.values():
        for table in rendered.depends_on:
            if table not in by_table and table not in given:
                known = ", ".join(sorted({*by_table, *given}))
                raise SqlModelError(
                    f"{rendered.model.path}: model `{rendered.model.name}` reads unknown table `{table}`; known: "
                    f"{known}. Correct the name or add {table}.sql"
                )
    graph = {t: [u for u in rendered.depends_on if u in by_table] for t, rendered in by_table.items()}
    try:
        return [by_table[table] for table in TopologicalSorter(graph).static_order()]
    except CycleError as error:
        files = ", ".join(str(by_table[table].model.path) for table in error.args[1][1:])
        raise SqlModelError(f"{files}: the models read each other in a circle: {' -> '.join(error.args[1])}") from None


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals.clear()
    return environment


@lru_cache(maxsize=256)
def _template(text: str) -> Template:
    """A model's template, which every cascade renders, and most of them again when a day is made."""
    return _environment().from_string(text)


@lru_cache(maxsize=256)
def _statements(sql: str) -> list[exp.Expr | None]:
    """The statements of a rendered model, parsed once a process; nobody changes them."""
    return parse(sql, dialect="duckdb")


def _template_line(error: Exception) -> int:
    if isinstance(error, TemplateSyntaxError):
        return error.lineno
    # Jinja writes the template's own lines into the traceback.
    frames = walk_tb(error.__traceback__)
    return [line for frame, line in frames if frame.f_code.co_filename == "<template>"][-1]


def _parse(model: SqlModel, sql: str) -> exp.Query:
    try:
        statements = _statements(sql)
    except (ParseError, TokenError) as error:
        raise SqlModelError(f"{model.path}: `{model.name}` is not DuckDB SQL once rendered: {_plain(error)}") from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        kinds = ", ".join(type(statement).__name__ for statement in statements)
        raise SqlModelError(f"{model.path}: `{model.name}`: expected one SELECT query, saw {kinds or 'none'}")
    return statements[0]


def _plain(error: Exception) -> str:
    """Its words without the control sequences that underline a word on a terminal."""
    return re.sub(r"\x1b\[\d*m", "", str(error))


def _check_order(model: SqlModel, tree: exp.Query) -> None:
    """Unordered rows may stand otherwise in the next run, and the gates would not find repeated keys."""
    order = tree.args.get("order")
    ordered_by = [ordered.this.name for ordered in order.expressions] if order else []
    if ordered_by != list(model.keys):
        raise SqlModelError(
            f"{model.path}: `{model.name}` ends with {order.sql('duckdb') if order else 'no ORDER BY'}; expected "
            f"ORDER BY {', '.join(model.keys)}, the keys in the header"
        )


def _upstream_tables(model: SqlModel, tree: exp.Query) -> tuple[str, ...]:
    tables: set[str] = set()
    for source in _sources(tree):
        if not isinstance(source.this, exp.Identifier) or source.args.get("db"):
            raise SqlModelError(
                f"{model.path}: `{model.name}` reads `{source.sql('duckdb')}`; expected a plain table name"
            )
        tables.add(source.name)
    return tuple(sorted(tables))


def _sources(tree: exp.Query) -> Iterator[exp.Expr]:
    """What the query reads beside its own CTEs and subqueries: tables and, not allowed, functions that make some."""
    for scope in traverse_scope(tree):
        yield from (source for source in scope.sources.values() if isinstance(source, exp.Table))
    laterals = tree.find_all(exp.Lateral)
    yield from (each for each in laterals if not isinstance(each.this, exp.Subquery | exp.Unnest))


def _columns(model: SqlModel, context: Mapping[str, Any]) -> dict[str, Column]:
    known = families(context)
    columns: dict[str, Column] = {}
    for declared, column in model.columns.items():
        if declared.startswith("<") and declared not in known:
            raise SqlModelError(
                f"{model.path}: columns.{declared}: unknown family of columns for a model of scope {model.scope}; "
                f"expected one of {', '.join(known)}"
            )
        for name in known.get(declared, (declared,)):
            if name in columns:
                raise SqlModelError(f"{model.path}: columns.{declared}: column `{name}` would exist twice")
            columns[name] = column.model_copy(update={"type": _resolved_type(model, column, name, context)})
    if missing := [key for key in model.keys if key not in columns]:
        raise SqlModelError(f"{model.path}: keys: `{missing[0]}` is not among the columns {', '.join(columns)}")
    return columns


def _resolved_type(model: SqlModel, column: Column, name: str, context: Mapping[str, Any]) -> str:
    if column.type == "identifier":
        return "BIGINT" if context["identifiers"] == "integer" else "VARCHAR"
    if column.type == "declared":
        if name not in context["feature_types"]:
            raise SqlModelError(f"{model.path}: columns.{name}: type `declared` is for the family <feature>")
        return str(context["feature_types"][name])
    return column.type
