"""Commands of the terminal, one file each, and what they print.

What a command does stands in `pipeline/`, `reports/`, `serving/` and `evidence/`; here are options, progress and words.
"""

from ukdsl_assets.cli.app import main

__all__ = ["main"]
