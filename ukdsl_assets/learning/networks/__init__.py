"""The networks of students, one a file; all take the same inputs, see `inputs`."""
