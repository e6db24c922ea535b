# tocsin. `make` lists the commands. They need only Python 3.11 or newer and make.

PYTHON ?= python3
BIN := .venv/bin
SERVICES := shared services/intake services/sla-timer services/escalator services/notifier services/board
OURS := $(SERVICES) deploy/local tools
STAMP := .venv/installed
REFERENCES := .venv/bench/installed
# It measures CPU times, so nothing else may run beside it.
ALONE := tests/slow/test_bench_ratios.py
# Without cached bytecode, each of the many processes of the tests compiles everything anew.
export PYTHONDONTWRITEBYTECODE :=
UV_COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header

.DEFAULT_GOAL := help
.PHONY: help setup run demo replay test test-slow torture check fuzz-api fix clean lock bench bench-keep stories faults rules asyncapi pictures

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## install everything into .venv, from the hashed lock files

run: setup  ## start the whole system; Ctrl-C stops it
	@$(BIN)/python -m tocsin_local run

demo: setup  ## play one day of a service desk and check the result against the rules
	@$(BIN)/python -m tocsin_tools demo

replay: setup  ## import a real help-desk log as history and check every ticket: make replay FILE=log.csv
	@$(if $(FILE),,$(error FILE is missing: make replay FILE=log.csv))$(BIN)/python -m tocsin_tools replay "$(FILE)"

test: setup  ## run the tests, against real PostgreSQL, Kafka and SMTP, and Prometheus where it is installed
	$(BIN)/pytest -n 3 --dist loadgroup

test-slow: setup  ## run the slow tests: images, metrics against a real Prometheus, API fuzzing, SMTP faults, load, restores, secrets, `make run`, `make replay`, pages in a browser, every Python here
	$(BIN)/pytest -n 0 $(ALONE)
	$(BIN)/pytest -n 3 --dist loadgroup -rs tests/slow --ignore $(ALONE)

check: setup  ## check lint, format, types, architecture, dependencies and API documents; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python deploy/dependencies.py check
	$(BIN)/pytest -q $(addprefix tests/contract/test_,asyncapi.py openapi.py recorded_events.py)

torture: setup  ## run all tests, the slow ones too, with ten times the random cases
	TOCSIN_TORTURE=1 $(BIN)/pytest -n 3 --dist loadgroup tests --ignore $(ALONE)

fuzz-api: setup  ## fuzz the APIs with Schemathesis: make fuzz-api EXAMPLES=100
	@TOCSIN_FUZZ_EXAMPLES=$(or $(EXAMPLES),100) $(BIN)/pytest -q -n 3 --dist loadgroup tests/slow/test_api_fuzz.py

bench: setup $(REFERENCES)  ## measure everything beside its references, write docs/performance.md: make bench ONLY=mail,idle ROUNDS=2
	@PYTHONPATH=tests $(BIN)/python -m bench $(if $(ONLY),--only "$(ONLY)") $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(QUICK),--quick)

bench-keep: setup  ## keep the present ratios, with which the slow tests compare
	@PYTHONPATH=tests $(BIN)/python -m bench.check

rules: setup  ## list each clause of docs/rules.md with the tests that prove it
	@PYTHONPATH=tests $(BIN)/python -m support.rule_index

stories: setup  ## compare timelines with the reference on random stories: make stories STORIES=20000
	@PYTHONPATH=tests $(BIN)/python -m bench.stories --stories $(or $(STORIES),20000)

asyncapi: setup  ## write docs/asyncapi.yaml from the event models
	@PYTHONPATH=tests $(BIN)/python -m support.asyncapi_document

pictures: setup  ## render the pictures of mails, the board, a ticket and a report in a browser (needs chromium)
	@PYTHONPATH=tests $(BIN)/python -m support.mail_pictures
	@PYTHONPATH=tests $(BIN)/python -m support.board_pictures

faults: setup  ## send 1,000 mails through each fault of a mail server, print a table: make faults ONLY="450,AUTH refused"
	@PYTHONPATH=tests $(BIN)/python -m support.smtp_faults --mails $(or $(MAILS),1000) --only "$(ONLY)" $(if $(REAL),--real)

fix: setup  ## fix lint and format automatically
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## delete the state and all caches, but not .venv
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m tocsin_local clean; else rm -rf var; fi
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

lock: setup  ## resolve deploy/requirements*.lock again from the pyproject.toml files
	$(BIN)/python deploy/dependencies.py list $(SERVICES) | $(UV_COMPILE) --output-file deploy/requirements.lock -
	$(BIN)/python deploy/dependencies.py list | $(UV_COMPILE) --output-file deploy/requirements-dev.lock \
		--constraint deploy/requirements.lock deploy/requirements-dev.in -
	$(UV_COMPILE) --output-file deploy/requirements-bench.lock deploy/requirements-bench.in
	echo hatchling | $(UV_COMPILE) --constraint deploy/requirements-dev.lock --output-file deploy/docker/build.lock -

# pip rejects editable packages with --require-hashes. So install the hashed packages first (our build backend is one of
# them), then ours.
$(STAMP): deploy/requirements-dev.lock $(addsuffix /pyproject.toml,$(OURS))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tocsin needs Python 3.11 or newer: make setup PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv ..."
	@$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r deploy/requirements-dev.lock || \
		{ echo "packages could not be installed: see the error of pip above, check the network or the package mirror, then run make setup again." >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation $(addprefix -e ,$(OURS))
	@touch $@

# What `make bench` compares with has its own environment, so that the product's versions stay as they are.
$(REFERENCES): deploy/requirements-bench.lock $(STAMP)
	@test -x .venv/bench/bin/python || $(PYTHON) -m venv .venv/bench
	@echo "installing the references into .venv/bench ..."
	@.venv/bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/requirements-bench.lock
	@touch $@
