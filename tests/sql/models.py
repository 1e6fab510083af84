"""Models written for a test."""

from pathlib import Path

from tests.sql.tables import ADS
from ukdsl_assets.sql.context import template_context
from ukdsl_assets.sql.model import read_model
from ukdsl_assets.sql.render import RenderedModel, render

HEADER = """-- description: A table.
-- owner: team:ranking
-- scope: cascade
-- keys: [request_id]
-- shard_key: request_id
-- columns:
--   request_id: {description: The request., type: identifier}
"""
# The line of the file on which the query starts.
QUERY_LINE = HEADER.count("\n") + 1
ORDER = " ORDER BY request_id"


def model_of(folder: Path, query: str, header: str = HEADER, name: str = "table_a") -> RenderedModel:
    """The model of a header and a query, for the simulated cascade."""
    path = folder / f"{name}.sql"
    path.write_text(header + query)
    return render(read_model(path), template_context(ADS))
