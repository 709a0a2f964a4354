# Each target sets up what it needs, once. More options go in as ARGS="…".
run := .venv/bin/python -m

.PHONY: help lab test test-brokers check rehearse run notebooks reference site browser lint clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

lab: ## start a broker, and JupyterLab on the lessons (ARGS="--no-browser" on a server)
	@./setup.sh test
	@$(run) rmqlab lab $(ARGS)

test: ## run every notebook, and the tests that break nothing (ARGS="notebooks" for these alone, "-n 0" in one process)
	@./setup.sh test
	@$(run) pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

test-brokers: ## run the tests that start, break and stop brokers and commands of their own (ARGS="-n 0" in one process)
	@./setup.sh test
	@$(run) pytest -n auto --dist loadfile --no-loadscope-reorder tests/brokers $(ARGS)

check: ## what can be checked in a minute while one writes: style, types, layers, unit tests
	@./setup.sh dev
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check --quiet
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache
	@$(run) pytest -q -n auto tests/unit $(ARGS)

rehearse: ## run each lesson twice, interrupted, and without what it claims; twenty restarts: minutes
	@./setup.sh test
	@$(run) pytest -m rehearsal tests/project/test_rehearsal.py tests/brokers/experiments/test_long_faults.py $(ARGS)

run: ## execute every notebook into build/, with an HTML report
	@./setup.sh test
	@$(run) rmqlab run $(ARGS)

notebooks: ## execute the committed notebooks anew, in place, and normalize them
	@./setup.sh test
	@$(run) rmqlab run --in-place $(ARGS)

reference: ## execute the notebooks as above, and keep what they measure as the reference runs; bench.csv before
	@./setup.sh test
	@$(if $(ARGS),,.venv/bin/python data/reference/make_bench.py)
	@RMQLAB_KEEP_REFERENCE=1 $(MAKE) --no-print-directory notebooks

site: ## make the site of the lessons with their stored outputs, in build/site
	@./setup.sh site
	@.venv/bin/python docs/build.py

browser: site ## look at the site in a real browser: errors, other hosts, width, links, accessibility
	@./setup.sh browser
	@$(run) pytest -q -n auto tests/browser $(ARGS)

lint: ## check style, types, layers, spelling and shell scripts
	@./setup.sh dev
	@$(run) ruff check
	@$(run) ruff format --check
	@$(run) mypy
	@.venv/bin/lint-imports --no-cache
	@.venv/bin/codespell
	@.venv/bin/shellcheck setup.sh .ci/run .ci/engine

clean: ## remove what the set-up and the runs have made
	rm -rf .venv build .pytest_cache .ruff_cache .mypy_cache
