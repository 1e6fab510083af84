"""What every asset file needs of Dagster: keys, groups, partitions, verdicts as checks, publishing, lineage, pictures.

No asset and no step of the flow belongs here, and nothing that makes sense without Dagster: verdicts themselves are
`gates.GateResult`, and what a picture shows is drawn in `reports/`.
"""
