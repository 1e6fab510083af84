"""The Dagster graph: one file a step, in the order of `build.FLOW`; the machinery that they share is `graph/`.

A file says what an asset is called, what it reads, which checks it carries and when it is published. It computes
nothing: what a day of a step does is a function of `pipeline/`, which knows no Dagster.
"""
