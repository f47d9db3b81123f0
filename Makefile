PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
# Files of tests are shared out over processes, one a core; a file stays together, with what it prepares. Each has one thread for numbers:
# with more of them than cores, threads wait for each other.
SIDE_BY_SIDE := -n auto --dist loadfile --no-loadscope-reorder
export DAGSTER_DISABLE_TELEMETRY := 1
# Bytecode is kept, whatever the environment says: else each process compiles the package and the tests anew, which takes it 8 s.
export PYTHONDONTWRITEBYTECODE :=

# uv installs the same pins in a fraction of the time, where it is there.
UV := $(shell command -v uv)
INSTALL = $(if $(UV),$(UV) pip install --quiet --python $(BIN)/python,$(BIN)/python -m pip install --quiet) -c constraints.txt

.PHONY: base setup demo ui test landmarks quick lint docs bench audit clean
base: $(VENV)/.base                       ## virtual environment with what FaceStats needs, pinned
setup: $(VENV)/.ready                     ## the same with everything that the tests need

$(VENV)/.base: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) -e .
	touch $@

$(VENV)/.ready: $(VENV)/.base
	$(INSTALL) -e '.[dev]'
	touch $@

demo: base                                ## synthetic faces, everything made from them, offline
	$(BIN)/facestats demo

ui: base                                  ## Dagster's pages for the folder data/; history is kept in data/.dagster
	$(BIN)/facestats ui

test: setup                               ## all tests but those of `make landmarks`
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not landmarks" $(SIDE_BY_SIDE)

# MediaPipe asks for a second OpenCV and works with the one that is here: it lies beside the environment, for its own tests alone.
landmarks: setup                          ## tests of the 478 landmarks, with MediaPipe
	$(BIN)/python -m pip install --quiet --upgrade --no-deps -c constraints.txt --target $(VENV)/mediapipe mediapipe
	PYTHONPATH=$(VENV)/mediapipe $(BIN)/python -c "import mediapipe"
	PYTHONPATH=$(VENV)/mediapipe $(BIN)/python -m pytest -m landmarks

quick: setup                              ## the tests that take two minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow and not server" --hypothesis-profile=facestats-quick $(SIDE_BY_SIDE)

lint: setup                               ## style, types, generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python docs/generate.py --check

docs: setup                               ## write the generated parts of docs/ again
	$(BIN)/python docs/generate.py

bench: setup                              ## ratios, side by side in one run; written into docs/performance.md
	$(INSTALL) -e '.[bench]'
	$(BIN)/python -m facestats_pipeline_tests.benchmarks

audit: setup                              ## dependencies: consistent, licences, known vulnerabilities (asks PyPI's advisory service)
	$(BIN)/python -m pip check
	$(BIN)/python -m facestats_pipeline_tests.robustness.dependencies
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/python -m pip install --quiet pip-audit
	@$(VENV)-audit/bin/pip-audit --strict --no-deps --disable-pip -r constraints.txt || { echo "No clean bill: pip-audit found \
	something (a table above), or could not ask the advisory service, which needs the internet (an error above)."; exit 1; }

clean:                                    ## what tests and tools leave behind
	rm -rf .venv-audit .pytest_cache .mypy_cache .ruff_cache .hypothesis facestats-demo
