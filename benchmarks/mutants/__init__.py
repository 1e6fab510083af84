"""Small changes to the code that decides, each of which some test must catch: `make mutants`.

`targets.py` says which files, and which tests mirror each; `python_changes.py` and `sql_changes.py` what is changed;
`survivors.yaml` which changes no test can catch, and why. Not in CI: it says how good the tests are, not the code.
"""
