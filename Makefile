# Everything is installed into the checkout: .venv (our side) and .stackyard (stacks, data, caches).
# `make help` lists the commands.

.DEFAULT_GOAL := help
.PHONY: help install install-core install-reports install-containers install-clearml install-server install-web install-tuning install-lab wheels lock demo test test-fast test-long compose-check lab-test check format bench clean

VENV := .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
# core, and core with one extra of pyproject.toml; several of them add up
PARTS := core reports containers clearml server web tuning lab

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 26

install: $(INSTALLED)  ## install everything into .venv, tools for developers included

# The first Python 3.11+ that answers and can make a venv. A .venv that has lost its Python is made anew.
define MAKE_VENV
	@set -e; found=; \
	for name in $(PYTHON) python3.11 python3.12 python3.13 python3.14 python3; do \
	  if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then found=$$name; break; fi; \
	done; \
	if [ -z "$$found" ]; then echo 'No Python 3.11 or newer answers: install one (Debian: apt-get install python3 python3-venv) or call make PYTHON=/path/to/python3.' >&2; exit 1; fi; \
	if ! $$found -c 'import venv, ensurepip' >/dev/null 2>&1; then echo "$$found has no venv module: install it (Debian: apt-get install python3-venv)." >&2; exit 1; fi; \
	if [ -d $(VENV) ] && ! $(RUN) -c '' 2>/dev/null; then rm -rf $(VENV); fi; \
	echo "Installing stackyard into $(VENV) with $$($$found --version) ..."; \
	[ -x $(RUN) ] || $$found -m venv $(VENV)
endef
PIP = $(RUN) -m pip --quiet --disable-pip-version-check

$(INSTALLED): requirements/all.lock pyproject.toml
	$(MAKE_VENV)
	@$(PIP) install --require-hashes -r requirements/all.lock
	@$(PIP) install --no-deps -e .
	@touch $@

install-core:  ## the small way: scenarios, deployment bare, stacks, plain reports
install-reports:  ## core and report.html
install-containers:  ## core and the Docker Engine's client
install-clearml:  ## core and agents, tasks, pipelines
install-server:  ## core and the embedded server
install-web:  ## core and the web app: comparisons and reports in a browser (with clearml)
install-tuning:  ## core and the samplers and pruners of `stackyard tune`
install-lab:  ## core and Ansible, for the playbooks below ansible/
$(addprefix install-,$(PARTS)): install-%: requirements/%.lock
	$(MAKE_VENV)
	@$(PIP) install --require-hashes -r $<
	@$(PIP) install --no-deps -e .

lock:  ## choose every version anew, one lock for each way to install (needs uv); what is pinned stays where it can
	@for part in all $(PARTS); do \
	  case $$part in all) extra=--all-extras;; core) extra=;; *) extra="--extra $$part";; esac; \
	  [ $$part = all ] || cp requirements/all.lock requirements/$$part.lock; \
	  uv pip compile pyproject.toml $$extra --universal --python-version 3.11 --generate-hashes --quiet \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' -o requirements/$$part.lock || exit; \
	done

# Built from a copy, so that no file of an earlier build gets into a wheel and none is left in the checkout.
wheels: $(INSTALLED)  ## wheels of stackyard and, by itself, of its server, in dist/
	@set -e; copy=$$(mktemp -d); trap 'rm -rf "$$copy"' EXIT; \
	cp -r pyproject.toml README.md LICENSE src packaging "$$copy"; rm -rf "$$copy"/src/*.egg-info; \
	rm -rf dist; $(PIP) wheel --no-deps --wheel-dir dist "$$copy" "$$copy/packaging/server"; ls dist

demo: $(INSTALLED)  ## stack, server, agent, templates, scenarios/quickstart.toml, report: the whole way
	@$(VENV)/bin/stackyard stack build torch-2.13.0-cpu
	@$(VENV)/bin/stackyard up
	@$(VENV)/bin/stackyard scenario run scenarios/quickstart.toml --fresh
	@echo
	@$(VENV)/bin/stackyard status
	@echo
	@echo "web page: the address of server above; its login was shown when the server was new"
	@echo "          (a new password: $(VENV)/bin/stackyard server user password admin)"
	@echo "your own: $(VENV)/bin/stackyard run -- python examples/own-script/train.py --batch 8"
	@echo "by hand:  $(VENV)/bin/stackyard task submit detector-train --wait"
	@echo "logs:     $(VENV)/bin/stackyard logs cpu-0 --follow"
	@echo "the end:  $(VENV)/bin/stackyard down"

test: $(INSTALLED)  ## the developer's suite: reduced counts, printed; what cannot run says why and is counted
	@$(RUN) -m tests.suites

test-fast: $(INSTALLED)  ## what starts no agent, container or browser and needs no stack
	@$(RUN) -m tests.suites --fast

test-long: $(INSTALLED)  ## every suite at full counts; finished suites are not repeated until the code changes
	@$(RUN) -m tests.suites --long

compose-check: $(INSTALLED)  ## docker-compose.yml on stand-in images: validated, brought up, looked at, taken down
	@$(RUN) -m tests.compose.check

lab-test: $(INSTALLED)  ## the playbooks on systemd hosts in containers: real SSH, engine and agents (over an hour on two cores; needs root)
	@trap 'tests/engine_setup.sh stop' EXIT; tests/engine_setup.sh start; $(RUN) -m pytest -v -ra tests/lab

check: $(INSTALLED)  ## lint (Python, playbooks), format, types, import directions
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@cd ansible && PATH="$(CURDIR)/$(VENV)/bin:$$PATH" ansible-lint --offline -q
	@$(RUN) -m pytest -q tests/test_imports.py

format: $(INSTALLED)  ## format and sort imports
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

bench: $(INSTALLED)  ## every benchmark; figures go to bench/results/ (QUICK=1: smaller, to .stackyard/bench/)
	@$(RUN) -m bench $(if $(QUICK),--quick)

clean:  ## remove .venv, built stacks and caches (runs/ and fetched data stay)
	rm -rf $(VENV) .stackyard/stacks .stackyard/code .stackyard/tests .pytest_cache .mypy_cache .ruff_cache
