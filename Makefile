# `make run` installs and materializes three days of the simulated cascade; `make test` installs and checks everything,
# `make test-fast` in a minute and a half what needs neither a whole graph nor a process of its own. `make docs` writes the
# documentation's site to site/; open site/index.html.
PYTHON ?= python3
BIN := .venv/bin
# A module stays in one process, so that what it has run once is not run again; the first ones are those that take long.
PYTEST := $(BIN)/pytest -n 2 --dist loadscope --no-loadscope-reorder
export DAGSTER_HOME ?= $(CURDIR)/.dagster_home

.PHONY: run test test-fast docs torture mutants screenshots ui install lock clean

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

# A DAGSTER_HOME of your own is left as it is.
.dagster_home/dagster.yaml: dagster.yaml
	mkdir -p .dagster_home
	cp dagster.yaml $@

run: install .dagster_home/dagster.yaml
	@# It ends with 3 where a student of the last day is refused or not judged, which is a result too.
	$(BIN)/ukdsl run simulated_ads --days 2026-01-01..2026-01-03 || test $$? -eq 3

ui: install .dagster_home/dagster.yaml
	$(BIN)/ukdsl ui

test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(PYTEST) --durations=15

test-fast: install
	$(PYTEST) -m "not slow"

# Needs no network, and neither does who reads it. What would be a warning stops it.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "$(CURDIR)/site/index.html"

# Kills, races, damage, a full disk and bad logs; about a quarter of an hour.
torture: install
	$(BIN)/python -m tests.torture

# Changes one thing at a time in what decides; ends with 1 where the tests catch fewer than 90%. Not in CI.
mutants: install
	$(BIN)/python -m benchmarks.mutants

# The pictures of docs/, of the real UI on a small lake that it makes; some minutes. Look at them before you keep them.
screenshots: install
	$(BIN)/python -m tests.screenshots

# Writes down what the installed environment resolved to; run it after a change of pyproject.toml. What is not installed in it,
# from the comment on, stays as it is.
lock: install
	{ $(BIN)/python -m pip freeze --exclude-editable | sed 's/^torch==.*/torch==2.13.0/' | grep -v '@ file'; \
	  sed -n '/^# Of the extra/,$$p' constraints.txt; } > constraints.new
	mv constraints.new constraints.txt

clean:
	rm -rf .venv .dagster_home lake site
