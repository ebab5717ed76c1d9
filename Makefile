# `make demo` and `make test` need only Python 3.11+, make and a package index; they call `setup` for themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo test check format clean

setup: $(READY)

# requirements.txt pins every version; it holds names and versions only, so any index can serve them.
$(READY): pyproject.toml requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint requirements.txt --editable '.[piper,openai-whisper,llasa,transformers,speaker,view,dev]'
	$(BIN)/tts-eval fetch
	@touch $(READY)

demo: setup
	$(BIN)/tts-eval run --suite mini --synth piper --n 8 --out runs/demo-piper
	$(BIN)/tts-eval run --suite mini --synth llasa-nano --n 8 --out runs/demo-llasa-nano

test: setup
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/typos

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
