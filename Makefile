PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
export DAGSTER_DISABLE_TELEMETRY := 1

.PHONY: setup demo test landmarks quick lint docs bench clean
setup: $(VENV)/.ready                     ## virtual environment with pinned packages

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

demo: setup                               ## synthetic faces, everything made from them, offline
	$(BIN)/facestats demo

test: setup                               ## all tests but those of `make landmarks`
	$(BIN)/python -m pytest -m "not landmarks"

# MediaPipe asks for a second OpenCV and works with the one that is here: it lies beside the environment, for its own tests alone.
landmarks: setup                          ## tests of the 478 landmarks, with MediaPipe
	$(BIN)/python -m pip install --quiet --upgrade --no-deps -c constraints.txt --target $(VENV)/mediapipe mediapipe
	PYTHONPATH=$(VENV)/mediapipe $(BIN)/python -c "import mediapipe"
	PYTHONPATH=$(VENV)/mediapipe $(BIN)/python -m pytest -m landmarks

quick: setup                              ## the tests that take two minutes
	$(BIN)/python -m pytest -m "not slow and not server"

lint: setup                               ## style, types, generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python docs/generate.py --check

docs: setup                               ## write the generated parts of docs/ again
	$(BIN)/python docs/generate.py

bench: setup                              ## ratios, side by side in one run
	$(BIN)/python -m facestats_pipeline_tests.benchmarks

clean:                                    ## what tests and tools leave behind
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis data/demo
