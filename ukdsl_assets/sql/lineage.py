"""Where each output column of a model comes from, read from its parsed query."""

from collections.abc import Iterable, Mapping, Sequence

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import Node, lineage

from ukdsl_assets.errors import SqlModelError
from ukdsl_assets.sql.render import RenderedModel

Lineage = Mapping[str, Sequence[tuple[str, str]]]

# By text and upstream columns: the same every day, and traced once a process.
_traced: dict[tuple[str, tuple[tuple[str, tuple[str, ...]], ...]], Lineage] = {}


def column_lineage(rendered: RenderedModel, upstream: Mapping[str, Iterable[str]]) -> Lineage:
    """Output column -> the upstream (table, column) pairs that its value is made of, sorted; not to be changed.

    Args:
        upstream: table -> its columns; needed to know which table a bare name is of.

    Raises:
        SqlModelError: for a column that no upstream table has.
    """
    columns = tuple((table, tuple(names)) for table, names in upstream.items())
    of_text = (rendered.sql, columns)
    if of_text not in _traced:
        _traced[of_text] = _trace(rendered, dict(columns))
    return _traced[of_text]


def _trace(rendered: RenderedModel, upstream: Mapping[str, Iterable[str]]) -> Lineage:
    try:
        nodes = lineage(
            None,
            rendered.tree.copy(),
            {table: dict.fromkeys(columns, "unknown") for table, columns in upstream.items()},
            dialect="duckdb",
            trim_selects=False,
            copy=False,
            validate_qualify_columns=True,
        )
    except SqlglotError as error:
        raise SqlModelError(f"{rendered.model.path}: `{rendered.model.name}`: {error}") from None
    if isinstance(nodes, Node):
        raise SqlModelError(f"{rendered.model.path}: `{rendered.model.name}` has no columns to follow")
    return {name: sorted(set(_origins(node))) for name, node in nodes.items()}


def _origins(root: Node) -> list[tuple[str, str]]:
    """The leaves that are columns of a table."""
    leaves = (node for node in root.walk() if isinstance(node.source, exp.Table))
    return [(node.source.name, node.name.rsplit(".", 1)[-1].strip('"')) for node in leaves]
