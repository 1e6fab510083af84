"""What columns a table may hold, and how they may change from one commit to the next."""

import polars as pl
from deltalake import Field, Schema
from deltalake.schema import PrimitiveType
from polars.datatypes import DataTypeClass

from ukdsl_assets.errors import LakeError

DAY = "day"
# Delta has arrays without a width: the width of a vector column is kept in the field's metadata.
_WIDTH = "ukdsl.width"

_SCALARS = (
    *(pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Float32, pl.Float64),
    *(pl.Boolean, pl.String, pl.Binary, pl.Date, pl.Decimal),
)


def _storable(dtype: pl.DataType | DataTypeClass) -> bool:
    """True when a Delta table gives back the very dtype it was given."""
    if isinstance(dtype, pl.Datetime):
        return dtype.time_unit == "us" and dtype.time_zone in (None, "UTC")
    if isinstance(dtype, pl.List):
        return _storable_inside(dtype.inner)
    if isinstance(dtype, pl.Array):
        return len(dtype.shape) == 1 and _storable_inside(dtype.inner)
    if isinstance(dtype, pl.Struct):
        return all(_storable_inside(field.dtype) for field in dtype.fields)
    return dtype in _SCALARS  # by equality: the type inside a List may be a class


def _storable_inside(dtype: pl.DataType | DataTypeClass) -> bool:
    """Only the width of a column itself is kept, so no Array inside another type."""
    return not isinstance(dtype, pl.Array) and _storable(dtype)


def to_delta(schema: pl.Schema, where: str) -> Schema:
    """The Delta schema of a table whose files have this schema: the columns in order, nullable, then `day`.

    Raises:
        LakeError: a column has a dtype that a Delta table cannot give back, or it is called `day`.
    """
    for name, dtype in schema.items():
        if name == DAY:
            raise LakeError(f"{where}: the files have a column `day`; the lake adds it. Leave it out of the files.")
        if not _storable(dtype):
            raise LakeError(
                f"{where}: column {name!r} is {dtype}, which a Delta table cannot hold. Expected a signed integer, "
                "float, Boolean, String, Binary, Date, Decimal, Datetime('us', None or 'UTC'), or a List, Array of one "
                "dimension or Struct of these. Cast it before publishing."
            )
    fields = [
        Field(
            field.name,
            field.type,
            nullable=True,
            metadata={_WIDTH: str(dtype.size)} if isinstance(dtype, pl.Array) else None,
        )
        for field, dtype in zip(Schema.from_arrow(schema).fields, schema.values(), strict=True)
    ]
    return Schema([*fields, Field(DAY, PrimitiveType("date"), nullable=True)])


def to_delta_undated(schema: pl.Schema, where: str) -> Schema:
    """As `to_delta`, of a table without days."""
    return Schema([field for field in to_delta(schema, where).fields if field.name != DAY])


def to_polars(schema: Schema) -> pl.Schema:
    """The schema of the files of a table, without `day`: the inverse of `to_delta`."""
    widths = {field.name: int(field.metadata[_WIDTH]) for field in schema.fields if _WIDTH in field.metadata}
    return pl.Schema(
        {
            name: pl.Array(dtype.inner, widths[name]) if isinstance(dtype, pl.List) and name in widths else dtype
            for name, dtype in pl.Schema(schema.to_arrow()).items()
            if name != DAY
        }
    )


def merged(written: pl.Schema, expected: pl.Schema, where: str) -> pl.Schema:
    """The schema of the table once files are published: their columns in order, then those that only the table has.

    Columns may come, go and change places; a partition reads as null in the columns that its files lack.

    Args:
        written: schema of the files to publish.
        expected: schema of the table.
        where: table and day, for the message.

    Raises:
        LakeError: a column has another dtype than in the table.
    """
    for name, dtype in expected.items():
        if name in written and written[name] != dtype:
            raise LakeError(
                f"{where}: column {name!r} is {written[name]}, expected {dtype} as in the table. Nothing was "
                "published. Cast the column or give it another name, or, if the change is wanted, remove the table's "
                "folder and materialize all its days again."
            )
    return pl.Schema({**written, **expected})
