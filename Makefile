# `make demo` and `make test` start from a machine that has nothing but Python.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORK_DIR ?= work_dirs/demo
SERVE_DIR ?= work_dirs/serve
QUERY ?= planes on an apron beside a runway

.PHONY: help setup demo serve plan test coverage check docs bench clean

help:
	@echo "make setup   virtual environment in $(VENV) with everything installed"
	@echo "make demo    sample data, train, test and one query drawn to $(WORK_DIR)/query.png"
	@echo "make serve   a page that searches three countries, adapted and source-only side by side"
	@echo "make test    the test suite"
	@echo "make coverage  the test suite, and which lines it runs"
	@echo "make check   ruff, mypy, docstring coverage, docs"
	@echo "make docs    the documentation in site/, links checked"
	@echo "make bench   the speed measurements of docs/results/speed.md"

setup: $(VENV)/.installed

# One resolver call: a CPU-only torch stays one only if torchvision is chosen beside it.
$(VENV)/.installed: setup.py constraints.txt
	@echo "installing torch, the OpenMMLab forks and the rest into $(VENV): 1 to 3 minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[tests,check,docs]'
	touch $@

plan:
	@echo "make demo: the install takes about 3 minutes the first time, the sample data up to 1,"
	@echo "training 2 to 3 on two free cores (longer beside other work), test and query 1."

# Small models run fastest on one thread; more would wait for each other.
demo: export OMP_NUM_THREADS = 1
demo: plan setup
	$(BIN)/python tools/misc/make_sample.py --root data/sample
	$(BIN)/python tools/train.py configs/urbancross_finland.py --sample --work-dir $(WORK_DIR) \
		--overwrite
	$(BIN)/python tools/test.py configs/urbancross_finland.py $(WORK_DIR) --sample \
		--work-dir $(WORK_DIR) --show-dir $(WORK_DIR)/grids
	$(BIN)/python tools/search.py configs/urbancross_finland.py $(WORK_DIR) --sample \
		--images data/sample/urbancross/Finland/images "$(QUERY)" --out $(WORK_DIR)/query.png

# What is trained and indexed already is not done again: remove $(SERVE_DIR) for that.
serve: export OMP_NUM_THREADS = 1
serve: setup $(SERVE_DIR)/adapted.indexed $(SERVE_DIR)/source.indexed
	$(BIN)/python tools/serve.py $(SERVE_DIR)/adapted/adapt.py $(SERVE_DIR)/adapted \
		--index $(SERVE_DIR)/adapted.index --name "adapted to Spain" \
		--compare $(SERVE_DIR)/source/urbancross_finland.py $(SERVE_DIR)/source \
		--compare-index $(SERVE_DIR)/source.index --compare-name "source only" \
		--open "?q=dense+forest+with+a+clearing&compare=yes&where=country%3Dspain"

$(SERVE_DIR)/source.trained: | setup
	$(BIN)/python tools/train.py configs/urbancross_finland.py --sample \
		--work-dir $(SERVE_DIR)/source --overwrite
	touch $@

$(SERVE_DIR)/adapted.trained: $(SERVE_DIR)/source.trained
	$(BIN)/python tools/train.py configs/adapt.py --sample --work-dir $(SERVE_DIR)/adapted \
		--overwrite --cfg-options CONFIG=urbancross_finland.py TARGET=spain METHOD=transport \
		model.adaptation.source_checkpoint=$(SERVE_DIR)/source
	touch $@

# The work directory holds the whole config of its run.
$(SERVE_DIR)/%.indexed: $(SERVE_DIR)/%.trained
	$(BIN)/python tools/build_index.py $(SERVE_DIR)/$*/*.py $(SERVE_DIR)/$* \
		--index $(SERVE_DIR)/$*.index --duplicates-above 0.995 \
		--images data/sample/urbancross/*/annotations/*_test.json
	touch $@

# Make would delete them as intermediate files.
.SECONDARY: $(SERVE_DIR)/source.trained $(SERVE_DIR)/adapted.trained

test: setup
	$(BIN)/python -m pytest -n 2 --dist worksteal

# Reported, not demanded: htmlcov/index.html shows the lines that no test runs.
coverage: setup
	$(BIN)/python -m pytest -n 2 --cov=urbancross_mm --cov-report=html \
		--cov-report=term:skip-covered

check: setup docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy urbancross_mm
	$(BIN)/interrogate -q urbancross_mm tools

# Warnings are errors: dead links, missing anchors, pages that the navigation lacks. With --quiet
# mkdocs would not count them.
docs: export NO_MKDOCS_2_WARNING = 1
docs: setup
	$(BIN)/mkdocs build --strict

bench: setup
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) build site *.egg-info .pytest_cache .ruff_cache .mypy_cache .coverage htmlcov
