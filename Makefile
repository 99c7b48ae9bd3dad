# Two commands do everything on a fresh machine with Python and make: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
CORES := --numprocesses auto --dist worksteal

.PHONY: help demo test test-portable lint docs look docs-links bench model mutants fuzz kills stress clean

help:
	@echo "make demo   record an asynchronous run on real images, and compare step-size rules on it"
	@echo "make test   run all tests and doctests"
	@echo "make lint   ruff and mypy"
	@echo "make docs   build the documentation site in build/site"
	@echo "make look   build it, and look at every page in Chromium"
	@echo "make bench  all benchmarks (half an hour), beside PyTorch where .venv has it"
	@echo "make model  check the models of the schemes with Spin (minutes; needs spin and a C compiler)"
	@echo "make mutants  plant 50 bugs, and see which of them the tests notice (an hour)"
	@echo "make fuzz   damaged files and texts, 20,000 of each kind (half an hour)"
	@echo "make stress  1,000 short runs, ended at random moments (half an hour)"
	@echo "make kills  signals and failing writes at every moment of a run (half an hour)"

# An environment whose Python or pip does not run is made anew: an interrupted make left it, or Python is a new one.
ifneq ($(shell test -x $(BIN)/python && echo there),there)
.PHONY: .venv/made
endif
.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "asapnb needs Python 3.11 or \
	newer. '$(PYTHON) --version' says: `$(PYTHON) --version 2>&1`. Install a newer Python (macOS: brew install python; \
	Debian, Ubuntu: apt install python3 python3-venv), or name one: make $(MAKECMDGOALS) PYTHON=python3.13"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { echo "Making a virtual environment in .venv …"; \
	$(PYTHON) -m venv --clear .venv; }
	@touch $@

# What is installed is remembered by these files; a change of pyproject.toml installs again. The filter is for a notice
# of setuptools that every editable installation prints.
INSTALL = PYTHONWARNINGS="ignore:Editable installation" $(BIN)/python -m pip install --quiet --disable-pip-version-check
FAILED = { echo "The installation failed, see above. 'make $(MAKECMDGOALS)' tries again, 'make clean' removes it."; exit 1; }

.venv/demo-ready: .venv/made pyproject.toml
	@echo "Installing asapnb and the libraries that it needs into .venv: about a minute …"
	@$(INSTALL) -e ".[plot]" || $(FAILED)
	@touch $@

.venv/dev-ready: .venv/made pyproject.toml
	@echo "Installing asapnb and the tools of its developers into .venv: some minutes …"
	@$(INSTALL) -e ".[dev]" || $(FAILED)
	@touch $@ .venv/demo-ready

demo: .venv/demo-ready
	$(BIN)/asapnb demo --force

test: .venv/dev-ready
	$(BIN)/python -m pytest $(CORES)

# The same kernels as plain loops, for CPUs without AVX2. In one process: several would compile the same kernels at once.
test-portable: .venv/dev-ready
	ASAPNB_KERNELS=portable $(BIN)/python -m pytest -k "not registers" tests/test_kernels.py tests/test_problems_networks.py tests/test_replay.py::test_the_file_of_a_network_s_run_gives_its_parameters

lint: .venv/dev-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Warnings are errors. No network is used.
SPHINX := $(BIN)/python -m sphinx --quiet --keep-going --nitpicky -c docs -d build/doctrees
docs: .venv/dev-ready
	$(SPHINX) --fail-on-warning . build/site
	@echo "documentation: $(CURDIR)/build/site/index.html"

look: docs
	$(BIN)/python docs/look.py

# Whether links to other sites work: this needs a network.
docs-links: .venv/dev-ready
	$(SPHINX) -b linkcheck . build/links

bench: .venv/demo-ready
	$(BIN)/python experiments/benchmarks/all.py

model: .venv/dev-ready
	$(BIN)/python tests/models.py
	$(BIN)/python tests/orderings.py

# Cosmic Ray is installed for this alone.
mutants: .venv/dev-ready
	@$(INSTALL) "cosmic-ray>=8.3"
	$(BIN)/python tests/mutants.py --jobs 2 $(MUTANTS)

# More of them: make fuzz FUZZ="--inputs 200000 --seed 1".
fuzz: .venv/dev-ready
	$(BIN)/python tests/fuzz.py $(FUZZ)

kills: .venv/dev-ready
	OPENBLAS_NUM_THREADS=1 $(BIN)/python tests/kills.py $(KILLS)
	$(BIN)/python tests/failing_writes.py $(WRITES)

stress: .venv/dev-ready
	OPENBLAS_NUM_THREADS=1 $(BIN)/python tests/stress.py $(STRESS)

clean:
	rm -rf .venv build dist *.egg-info
