"""Readers of logs, one kind of `source:` a file; each gives a day in parts, in the contract's columns and types.

A reader maps and reads, and judges nothing: rows that break a rule are for `logs/gates` to find. The worlds behind the
simulated sources are in `simulation/`, what a block may say in `declaration/sources.py`; `open.py` alone knows all.
"""
