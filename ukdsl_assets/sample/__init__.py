"""A small sample of raw logs, as a team would have them: `candidates.parquet` and `events.parquet`. Simulated.

`ukdsl init NAME` begins with them where it is given no files. `python -m ukdsl_assets.sample` makes them anew from the
simulated ads world. What reads raw logs and guesses what their columns mean is `onboarding/`; the world itself is
`simulation/`.
"""
