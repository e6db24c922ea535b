# tocsin. `make` alone tells what there is; Python 3.11 or newer and make are all it needs.

PYTHON ?= python3
BIN := .venv/bin
SERVICES := shared services/intake services/sla-timer services/escalator services/notifier
OURS := $(SERVICES) deploy/local
STAMP := .venv/installed
UV_COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header

.DEFAULT_GOAL := help
.PHONY: help setup run demo replay test torture check fuzz-api fix clean lock bench-domain bench-intake bench-notifier faults asyncapi mail-pictures

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## .venv with everything in it, from the hashed lock

run: setup  ## start the whole system and stay (Ctrl-C stops it)
	@$(BIN)/python -m tocsin_local run

demo: setup  ## see a day in the life: what was due, fired and mailed
	@$(BIN)/python -m tocsin_local demo

replay: setup  ## a real help-desk log as history, every ticket checked: make replay FILE=log.csv
	@$(if $(FILE),,$(error which log? make replay FILE=log.csv))$(BIN)/python -m tocsin_local replay "$(FILE)"

test: setup  ## all tests, against real PostgreSQL, Kafka and SMTP
	$(BIN)/pytest -n 2 --dist loadgroup

check: setup  ## lint, format, types, architecture, dependencies, API documents: reports only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python deploy/dependencies.py check
	$(BIN)/pytest -q $(addprefix tests/contract/test_,asyncapi.py openapi.py recorded_events.py)

torture: setup  ## the same tests, with ten times as many tries of what is random
	TOCSIN_TORTURE=1 $(BIN)/pytest -n 2 --dist loadgroup

fuzz-api: setup  ## Schemathesis over all four APIs, many tries of each call: make fuzz-api EXAMPLES=100
	@TOCSIN_FUZZ_EXAMPLES=$(or $(EXAMPLES),100) $(BIN)/pytest -q -n 2 --dist loadgroup tests/integration/test_api_fuzz.py

bench-domain: setup  ## how fast timelines are computed, against what is required
	@PYTHONPATH=tests $(BIN)/python -m bench.domain

bench-intake: setup  ## tickets and events a second of one worker, beside a no-op of FastAPI
	@PYTHONPATH=tests $(BIN)/python -m bench.intake

bench-notifier: setup  ## mails a second in a burst and milliseconds for one, beside a bare loop of aiosmtplib
	@PYTHONPATH=tests $(BIN)/python -m bench.notifier

asyncapi: setup  ## write docs/asyncapi.yaml from the event models
	@PYTHONPATH=tests $(BIN)/python -m support.asyncapi_document

mail-pictures: setup  ## the pictures of docs/mail.md, made in a browser (chromium must be there)
	@PYTHONPATH=tests $(BIN)/python -m support.mail_pictures

faults: setup  ## what becomes of 1,000 mails in every fault of a mail server, as a table: make faults ONLY="450,AUTH refused"
	@PYTHONPATH=tests $(BIN)/python -m support.smtp_faults --mails $(or $(MAILS),1000) --only "$(ONLY)" $(if $(REAL),--real)

fix: setup  ## mend what `make check` can mend by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## delete the state and all caches (.venv stays)
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m tocsin_local clean; else rm -rf var; fi
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

lock: setup  ## resolve deploy/requirements*.lock anew from the pyproject.toml files
	$(BIN)/python deploy/dependencies.py list $(SERVICES) | $(UV_COMPILE) --output-file deploy/requirements.lock -
	$(BIN)/python deploy/dependencies.py list | $(UV_COMPILE) --output-file deploy/requirements-dev.lock \
		--constraint deploy/requirements.lock deploy/requirements-dev.in -
	echo hatchling | $(UV_COMPILE) --constraint deploy/requirements-dev.lock --output-file deploy/docker/build.lock -

# pip takes no editable package under --require-hashes: first what is hashed (our build backend too), then ours.
$(STAMP): deploy/requirements-dev.lock $(addsuffix /pyproject.toml,$(OURS))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tocsin needs Python 3.11 or newer: make setup PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv ..."
	@$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r deploy/requirements-dev.lock || \
		{ echo "no package could be fetched: see what pip says above, check the network or package mirror, then make setup again." >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation $(addprefix -e ,$(OURS))
	@touch $@
