"""Another cascade's model as a teacher: applied through a declared mapping, put on this cascade's level, and judged.

Whether the mapping holds between two declarations is checked in `declaration/cross_domain.py`, and which day's model is
taken is looked up in `pipeline/cross_domain.py`. What learns from such a teacher is a student like any other.
"""
