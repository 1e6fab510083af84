"""Trainers of other projects on the benchmark's table, each run by an interpreter of their own."""
