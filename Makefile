# `make run` (the main job, no data needed), `make test`, `make demo` (a search in the browser), and `make track`
# (people followed through a rendered network of cameras).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= runs/quickstart
DEMO ?= runs/demo
TRACK ?= runs/track
# The network that ships, once one does; until then that of `make run`.
SHIPPED := osnet_x0_25_rendered
TRACK_MODEL ?= $(if $(wildcard src/omnireid/weights/$(SHIPPED).safetensors),$(SHIPPED),$(OUT)/model.safetensors)

.PHONY: run demo track test unit docs install lint types release clean

run: $(VENV)/.installed
	$(BIN)/omnireid run --out $(OUT) --overwrite --set fused=true

demo: $(VENV)/.installed
	$(BIN)/omnireid demo --run $(OUT) --out $(DEMO)

# What is drawn once is not drawn again.
track: $(VENV)/.installed
	@[ "$(TRACK_MODEL)" = "$(SHIPPED)" ] || [ -f "$(TRACK_MODEL)" ] \
		|| { echo "$(TRACK_MODEL): no network to tell people apart by; make one: make run"; exit 1; }
	$(BIN)/omnireid synth --video --out $(TRACK)/films --cameras 4 --places 2 --overlap --people 12 --minutes 1 \
		--fps 4 --seed 43
	$(BIN)/omnireid track --site $(TRACK)/films/site.yaml --model $(TRACK_MODEL) --annotate --out $(TRACK)/site
	$(BIN)/omnireid track-eval $(TRACK)/films $(TRACK)/site/identities
	@echo $(TRACK)/site/report.html

test: lint types unit

# Each worker stays on one core, but not all the time: many tests wait, for a server or for a page. One more fills that.
unit: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $$(( $$($(BIN)/python -c 'import os; print(os.cpu_count())') + 1 )) \
		--dist loadfile --no-loadscope-reorder

# The documentation as a site that is read from the folder; broken links and lost pages are errors.
docs: $(VENV)/.installed
	$(BIN)/mkdocs build --strict --quiet
	@echo site/index.html

# One command: make release VERSION=0.3.0. What it does stands in tools/release.py.
release: $(VENV)/.installed
	$(BIN)/python tools/release.py $(VERSION)

install: $(VENV)/.installed

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@if ! [ -x .ci/js/check.sh ]; then echo "a source archive: the page's JavaScript is not checked"; \
		elif command -v npm >/dev/null; then .ci/js/check.sh; \
		else echo "npm is not installed: the page's JavaScript is not checked"; fi

types: $(VENV)/.installed
	$(BIN)/mypy

# Installed once; again when what is to be installed changes.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' \
		|| { echo "OmniReID needs Python 3.10 to 3.13; choose one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt --editable '.[dev]'
	@# By all cores; pip would take one. Packages hold files for other Pythons, too: they stay as they are.
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
	@touch $@

clean:
	rm -rf $(VENV) build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis
