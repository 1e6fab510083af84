"""Studies: claims of the platform measured over many seeds, with standard errors. `study.py` says how to add one."""
