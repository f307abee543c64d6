# The menu: one line each. BIN is made on first use from pyproject.toml and constraints.txt.
BIN := .venv/bin

demo: .venv/run ; $(BIN)/ebbtide demo $(ARGS)
test: .venv/dev ; OMP_NUM_THREADS=1 POLARS_MAX_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)
lint: .venv/dev ; $(BIN)/ruff check . && $(BIN)/ruff format --check .
types: .venv/dev ; $(BIN)/mypy
docs: .venv/dev ; $(BIN)/python -m tests.contracts.reference
bench: .venv/dev ; $(BIN)/python -m bench $(ARGS)
serve: .venv/run ; $(BIN)/ebbtide serve $(ARGS)

.venv/run: pyproject.toml constraints.txt ; test -x $(BIN)/python || python3.11 -m venv .venv; $(BIN)/pip install --quiet --constraint constraints.txt --editable '.[postgres]' && touch $@
.venv/dev: pyproject.toml constraints.txt ; test -x $(BIN)/python || python3.11 -m venv .venv; $(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,postgres]' && touch $@

.PHONY: demo test lint types docs bench serve
