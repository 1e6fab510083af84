"""ukdsl-assets: cascade logs become gated, distilled students, one Dagster partition a day."""

__version__ = "0.1.0"
