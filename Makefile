# Everyday work. A machine with Python 3.11 or later and make is enough: `make run`.
# JOB and ARGS may be given: make run JOB=jobs/other.toml ARGS="--set trainer.epochs=5"

PYTHON ?= python3
JOB ?= jobs/digits.toml
ARGS ?=

BIN := .venv/bin
STAMP := .venv/.stamp
RELEASE := .venv/release/.stamp
IN_PARALLEL := --numprocesses 3 --dist loadfile --no-loadscope-reorder --durations 20
IN_TWO = --numprocesses 2 --dist loadfile --no-loadscope-reorder --basetemp "$$(mktemp -d -t XXXXXX)/t"
CHAOS_TESTS := tests/chaos tests/laws/test_kill.py tests/laws/test_tune_kill.py \
	tests/unit/train/test_full_storage.py tests/ray/test_hung_ray.py
USUAL := --extra images --extra remote --extra service --extra tensorboard --extra object-store
COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal \
	--python-version 3.11 --generate-hashes --only-binary :all:

# Tests start hundreds of processes; without bytecode, each would compile the whole package again.
export PYTHONDONTWRITEBYTECODE :=

# A sentence, as it was typed: neither make nor a shell reads the quotes and dollars in it.
override export REASON := $(value REASON)

.DEFAULT_GOAL := help
.PHONY: $(shell sed -nE 's/^([a-z-]+):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## print this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 17

setup: $(STAMP) ## install the locked packages and this one into .venv
run: $(STAMP) ## train the digits classifier (JOB=, ARGS=)
	$(BIN)/qstore train $(JOB) --fresh $(ARGS)

run-ibm: $(STAMP) ## train on a stand-in of IBM's service, with two Ray workers (ARGS=)
	$(BIN)/python -m tests.ibm.train_job jobs/digits_ibm.toml $(ARGS)

test: $(STAMP) $(RELEASE) ## run the tests but the slow ones (ARGS=tests/laws)
# A short folder, because tests look for paths in messages, which shorten long ones. Three processes,
# because many tests wait for servers, disks and Ray; tests/conftest.py says what goes where.
ifeq ($(strip $(ARGS)),)
	$(BIN)/python -m pytest $(IN_PARALLEL) --basetemp "$$(mktemp -d -t XXXXXX)/t" -m "not slow"
else
	$(BIN)/python -m pytest $(ARGS)
endif

test-fast: $(STAMP) ## run what needs neither Ray nor another process, in a minute (ARGS=tests/unit)
	$(BIN)/python -m pytest -q --fast $(IN_TWO) $(ARGS)

tiers: $(STAMP) ## measure which tests are fast, and write tests/tiers.json (ARGS=tests/unit/track)
	$(BIN)/python -m pytest -q --record-tiers $(IN_TWO) -m "not slow and not ray" $(ARGS)

test-all: $(STAMP) $(RELEASE) ## run all tests, and the laws on twice as many examples
	TEST_ALL=1 $(BIN)/python -m pytest $(IN_PARALLEL) --basetemp $$(mktemp -d -t XXXXXX)/t

chaos: $(STAMP) ## kill, fill, cut off and slow down what a training needs (at most 15 minutes)
	CHAOS=1 timeout 900 $(BIN)/python -m pytest -q --basetemp "$$(mktemp -d -t XXXXXX)/t" $(CHAOS_TESTS) $(ARGS)

# Children of tests and workers of Ray write files of their own, which the program combines.
coverage: $(STAMP) $(RELEASE) ## run the tests; which lines and branches they reach, by package (25 minutes)
	$(BIN)/python -m coverage erase
	COVERAGE_FILE="$(CURDIR)/.coverage" $(BIN)/python -m pytest $(IN_PARALLEL) \
		--basetemp "$$(mktemp -d -t XXXXXX)/t" -m "not slow" --cov --cov-report= \
		--ignore tests/architecture/test_coverage.py $(ARGS)  # it looks at the last record
	$(BIN)/python benchmarks/covered.py

mutation: .venv/.mutation ## change the package in one place at a time, and see whether a test fails (hours; ARGS="learn/schedules --share 0.2")
	nice -n 19 $(BIN)/python -m tools.mutation $(ARGS)

first-change: $(STAMP) ## what to do next in a first change of this repository, step by step
	@$(BIN)/python -m tools.first_change

check: $(STAMP) ## lint, format, types, layers, and our own rules (tools/gates), side by side
	$(BIN)/python -m tools.gates.side_by_side

ratchet: $(STAMP) ## write down that something which `make check` counts has become less
	$(BIN)/python -m tools.gates ratchet

score: $(STAMP) ## make one number of the state of the code, and write docs/quality.md
	$(BIN)/python -m tools.gates score

api-check: $(STAMP) ## look for breaks of the public API since the last release
	$(BIN)/python -m tools.gates api

record-check: $(STAMP) ## compare time and memory of the main job and of some tests with the record (3 minutes)
	$(BIN)/python -m tools.gates record-check

record: $(STAMP) ## make what they take now the record
	$(BIN)/python -m tools.gates record

format: $(STAMP) ## let ruff rewrite the files
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-cluster: $(STAMP) ## measure: first step warm and cold, recovery, Ray's overhead (about 5 minutes)
	$(BIN)/python benchmarks/cluster.py

bench: $(STAMP) ## measure: engine, overhead, scaling, start-up, callbacks, digits (about 15 minutes)
	set -e; for name in engine overhead scaling startup callbacks "accuracy digits"; do set -- $$name; $(BIN)/python benchmarks/$$1.py $$2; done

bench-engine: $(STAMP) ## measure the exact engine alone, beside the last comparison (1 minute)
	$(BIN)/python benchmarks/engine.py

bench-federated: $(STAMP) ## federated and private training, with others beside it (40 minutes; ARGS=round)
	$(BIN)/python benchmarks/federated.py $(ARGS)

bench-hardware: $(STAMP) ## jobs, requests and seconds on the stand-in, beside two libraries (20 minutes)
	$(BIN)/python benchmarks/hardware.py $(ARGS)

bench-peers: $(STAMP) ## compare with other libraries, each in its own environment (30 minutes)
	$(BIN)/python benchmarks/peers/run.py $(ARGS)

advice-table: $(STAMP) ## measure the table behind `qstore advise` (an hour; continues if it was stopped)
	nice -n 19 $(BIN)/python -W ignore benchmarks/advice_table.py $(ARGS)

docs: .venv/.docs ## build the documentation site into docs/_build/html (5 minutes, then seconds)
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -q -b html docs docs/_build/html
	@echo docs/_build/html/index.html

docs-check: docs ## build the site; run the code of all pages, look at their links, commands and names
	$(BIN)/python -m pytest tests/unit/test_site.py tests/unit/test_docs.py tests/unit/test_doc_commands.py \
		tests/unit/test_docstring_examples.py tests/ray/test_docs_ray.py $(ARGS)
	! grep -rE '<(script|img)[^>]* src="https?:|<link rel="stylesheet"[^>]* href="https?:' docs/_build/html --include='*.html'

findings: ## run what was found about other packages (ARGS=NAME for one; 40 minutes, installs packages)
	findings/run $(ARGS)

audit: .venv/audit/.stamp ## look for known vulnerabilities of the locked packages (needs PyPI's advisories)
	.venv/audit/bin/python security/audit.py

sbom: $(STAMP) .venv/audit/.stamp ## write dist/sbom.json, the locked packages as CycloneDX
	.venv/audit/bin/python security/sbom.py

workflows-check: $(RELEASE) ## check .github/ with a fork of actionlint that is on PyPI
	.venv/release/bin/jactionlint --shellcheck "$(CURDIR)/.venv/release/bin/shellcheck"
	.venv/release/bin/shellcheck .ci/run tools/release/image_check

sdist: $(RELEASE) ## build the tag of VERSION= twice, in two folders, and leave its sdist in dist/
	.venv/release/bin/python -m tools.release sdist "$(VERSION)"

wheels: $(RELEASE) ## build the wheels of this platform from that sdist (VERSION=; Linux: needs Docker)
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) .venv/release/bin/cibuildwheel --output-dir wheelhouse "dist/qstore_ray-$(VERSION).tar.gz"

release-notes: $(RELEASE) ## write the notes of the tag of VERSION= for the sdist and wheels in dist/
	.venv/release/bin/python -m tools.release notes "$(VERSION)"

release: docs $(RELEASE) ## build, try, sign and tag a release (VERSION=1.2.3 KEY=~/.ssh/id_ed25519)
	.venv/release/bin/python -m tools.release cut "$(VERSION)" --key "$(KEY)"

publish: $(RELEASE) ## publish what `make release` built (VERSION= INDEX=/srv/index or https://…/legacy/)
	.venv/release/bin/python -m tools.release publish "$(VERSION)" --index "$(INDEX)"

rollback: $(RELEASE) ## withdraw a bad version, release the good one again (VERSION= REASON= INDEX= KEY=)
	.venv/release/bin/python -m tools.release rollback "$(VERSION)" --key "$(KEY)" --index "$(INDEX)" --reason "$$REASON"

image-check: ## build the image on Debian's own Python and train in it (WHEEL= too; buildah, root; 10 minutes)
	tools/release/image_check

lock: $(BIN)/uv ## remake the lock files (ARGS=--upgrade for newer releases)
	$(COMPILE) --extra cpu --extra dev $(USUAL) -o requirements.lock $(ARGS) pyproject.toml
	$(COMPILE) --extra gpu $(USUAL) -o requirements-gpu.lock $(ARGS) pyproject.toml
	$(COMPILE) --extra cpu $(USUAL) -c requirements.lock -o requirements-cpu.lock $(ARGS) pyproject.toml
	echo 'setuptools>=77' | $(COMPILE) -o requirements-build.lock $(ARGS) -
	echo uv | $(COMPILE) -o requirements-uv.lock $(ARGS) -
	echo ziglang | $(COMPILE) -o requirements-cc.lock $(ARGS) -
	printf 'furo>=2024.8\nmyst-nb>=1.3\nsphinx>=8\nsphinx-copybutton>=0.5\nsphinx-mathjax-offline>=0.0.2\nsphinx-notfound-page>=1.1\n' | $(COMPILE) -c requirements.lock -o requirements-docs.lock $(ARGS) -
	echo 'mutmut>=3.8.1,<3.9' | $(COMPILE) -c requirements.lock -o requirements-mutation.lock $(ARGS) -
	printf 'cyclonedx-bom>=7\npip-audit>=2.10\n' | $(COMPILE) -o requirements-audit.lock $(ARGS) -
	printf 'auditwheel>=6.4\ncibuildwheel>=3\ncyclonedx-bom>=7\njactionlint>=2.3\npackaging>=24\npatchelf>=0.17\nsetuptools>=77\nshellcheck-py>=0.10\ntwine>=6\n' \
		| $(COMPILE) -c requirements-build.lock -c requirements-audit.lock -o requirements-release.lock $(ARGS) -

clean: ## remove caches and build products; .venv and runs/ stay
	rm -rf build dist wheelhouse docs/_build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -rf .import_linter_cache
	find qstore_ray tests benchmarks examples -name __pycache__ -prune -exec rm -rf {} +

# A .venv of another machine, such as one in a folder that a container mounts: its Python is not here.
ifneq ($(shell test ! -L $(BIN)/python || test -x $(BIN)/python || echo elsewhere),)
.PHONY: elsewhere
$(BIN)/uv: elsewhere
elsewhere: ; @echo ".venv is of another machine: it is made again"
endif

# pip installs uv alone, by hash; uv then installs the rest in seconds instead of minutes.
$(BIN)/uv: requirements-uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or later is needed: make PYTHON=/path/to/python3.11 setup"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "Python has no venv module here: sudo apt install python3-venv (Debian, Ubuntu)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-uv.lock
	touch $@

.venv/.docs: $(STAMP) requirements-docs.lock
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements-docs.lock
	touch $@

.venv/.mutation: $(STAMP) requirements-mutation.lock
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements-mutation.lock
	touch $@

# Their own environment: none of it is part of the product.
.venv/audit/.stamp: $(BIN)/uv requirements-audit.lock
	test -x .venv/audit/bin/python || $(PYTHON) -m venv .venv/audit
	$(BIN)/uv pip install --quiet --python .venv/audit/bin/python --require-hashes -r requirements-audit.lock
	touch $@

# The same for releases; it has uv, too, which fills the bare environments.
$(RELEASE): $(BIN)/uv requirements-release.lock
	test -x .venv/release/bin/python || $(PYTHON) -m venv .venv/release
	$(BIN)/uv pip install --quiet --python .venv/release/bin/python --require-hashes -r requirements-uv.lock -r requirements-release.lock
	touch $@

# The exact engine is C. A machine without a compiler gets one from PyPI.
ifeq ($(shell command -v cc || command -v gcc || command -v clang),)
COMPILER := requirements-cc.lock
export CC := '$(CURDIR)/$(BIN)/python' -m ziglang cc
endif

$(STAMP): $(BIN)/uv requirements.lock $(COMPILER) pyproject.toml $(wildcard qstore_ray/simulate/engines/native/*.* qstore_ray/simulate/engines/native/*/*.*)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	$(if $(COMPILER),$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r $(COMPILER))
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@
