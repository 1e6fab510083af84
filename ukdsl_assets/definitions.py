"""The code location: `dagster dev`, `dg dev` and the command line all load this."""

from ukdsl_assets.defs.build import build_defs
from ukdsl_assets.settings import Settings

defs = build_defs(Settings())
