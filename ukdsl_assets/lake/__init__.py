"""Where results live, on a disk or an object store: Delta tables by day in `tables/`, models in `checkpoints/`.

It keeps bytes, rows and records and knows their names, not what they mean: no cascade, no student, no metric and no
network is imported here. Serving loads `checkpoints/` without Delta, so the two do not import each other.
"""
