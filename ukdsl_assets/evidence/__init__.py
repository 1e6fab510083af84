"""Studies: claims of the platform measured over many seeds, with standard errors. `study.py` says how to add one.

Here is the harness: what a study is, its units in processes, its sums, its tables and docs/evidence.md. The studies are
in `studies/`, what several of them share in `worlds/`. Nothing but `cli/` and `defs/` imports it, and a function
that a day's run needs belongs below, where the run finds it.
"""
