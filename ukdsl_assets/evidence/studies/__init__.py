"""The studies, one file each: `measure`, a pure function of settings and a seed, and `STUDY`, which sums it up.

Worlds, arms and rows that a second study needs move to `evidence/worlds`, names of commands are in
`evidence/registry.py`, results in docs/evidence/. No study reads a lake or runs the graph.
"""
