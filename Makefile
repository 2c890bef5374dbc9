# gatewise. On a fresh machine two commands do all: `make demo` and `make test`.
# Needs python3 >= 3.11, a C++20 compiler and make; everything else goes into .venv.

PYTHON ?= python3
BIN    := .venv/bin
BUILD  := build/native
STAMP  := .venv/.installed
PEERS  := .venv/.installed-bench
RIVALS := .venv/.installed-bench-forecast
WEB    := .venv/.installed-web
NATIVE := CMakeLists.txt $(wildcard native/*/*.cc native/*/*.h native/include/gatewise/*.h)
CC_ALL := $(wildcard native/*/*.cc native/*/*.h native/include/gatewise/*.h)

.PHONY: install demo test coverage check clean format stubs web web-check docs site lab bench bench-cells \
        bench-forecast test-exhaustive test-variants test-calibration test-intervals \
        test-leaks test-torch \
        test-sanitize test-valgrind test-neon test-machines fuzz example-c

install: $(STAMP)  ## set up only

# Two steps, so that the package, and those that come as source, build with the tools that the
# constraints name.
$(STAMP): pyproject.toml constraints.txt $(NATIVE)
	@echo "Installing into .venv and building the core: some minutes the first time."
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gatewise needs python3 >= 3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	  scikit-build-core nanobind cmake ninja setuptools
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  -c constraints.txt --no-build-isolation --editable '.[all,dev]'
	@touch $(STAMP)

demo: install  ## the main job on real data: forecasts, a backtest, a report
	$(BIN)/gatewise forecast --dataset sp500 --horizon 20 --folds 24 --refit-every 6 --out out/demo

test: install  ## the tests
	$(BIN)/python -m pytest -n 2 -m 'not slow' --durations=15

coverage: install  ## the same, with the share of lines that they run; takes longer
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term -m 'not slow'

check: install  ## lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/clang-format --dry-run --Werror $(CC_ALL)
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CC_ALL)

stubs: install  ## _core.pyi anew from the compiled module
	$(BIN)/python -m nanobind.stubgen -q -m gatewise._native._core -o build/_core.pyi
	$(BIN)/ruff check -q --fix --select I --config pyproject.toml build/_core.pyi
	$(BIN)/ruff format -q --config pyproject.toml build/_core.pyi
	{ echo "# Generated from native/bindings/module.cc by \`make stubs\`; a test holds it current."; \
	  printf '# ruff: noqa\n\n'; cat build/_core.pyi; } > src/gatewise/_native/_core.pyi

web: $(WEB)  ## the explorer's module and page, where their sources have changed
	$(BIN)/python web/build.py

web-check: $(WEB)  ## both anew: the same bytes as those that are committed
	$(BIN)/python web/build.py --check

docs: install  ## what docs/ holds of the program itself (help, API, tables, pictures), and the site
	$(BIN)/python docs/make_cli.py
	$(BIN)/python docs/make_api.py
	$(BIN)/python docs/images/make_engine.py
	$(BIN)/python docs/images/make_cells.py
	$(BIN)/python docs/images/make_demo.py
	$(BIN)/python docs/images/make_see_inside.py
	$(BIN)/python docs/make_lab.py
	$(BIN)/python docs/make_why_tanh.py
	$(BIN)/python docs/make_explorer.py
	$(MAKE) site

site: install  ## docs/ as a site in build/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

lab: install  ## full runs that docs/lab/ lacks, up to two hours, and its pages; resumes; see GATEWISE_JSB
	$(BIN)/gatewise lab import docs/lab/results --store lab.sqlite
	$(BIN)/gatewise lab run --store lab.sqlite
	$(BIN)/gatewise lab reproduce --store lab.sqlite
	$(BIN)/gatewise lab export docs/lab/results --store lab.sqlite
	$(BIN)/python docs/make_lab.py
	$(BIN)/python docs/make_why_tanh.py

bench: $(PEERS)  ## side by side with the peers, a quarter of an hour; writes results, pages, pictures
	$(BIN)/python -m benchmarks

bench-cells: $(PEERS)  ## any cell, ragged batches, float64 beside PyTorch: half an hour
	$(BIN)/python -m benchmarks.cells

bench-forecast: $(RIVALS)  ## forecasts beside statistical and neural peers; half an hour
	$(BIN)/python -m benchmarks.forecasts --resume build/bench-forecast.jsonl

pretrained: install  ## the networks that come with the package, anew: a few minutes
	$(BIN)/python -m gatewise.forecast.models.residual.pretraining --jobs 2 \
	  src/gatewise/forecast/models/residual/pretrained.safetensors

pretrained-held-out: install  ## the same without each source of sets, to judge them on those sets
	for source in m tourism; do \
	  $(BIN)/python -m gatewise.forecast.models.residual.pretraining --jobs 2 \
	  --without $$source build/pretrained/without-$$source.safetensors || exit 1; done

$(PEERS): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt 'gatewise[bench]'
	@touch $(PEERS)

$(RIVALS): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	  'gatewise[bench-forecast]'
	@touch $(RIVALS)

$(WEB): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt 'gatewise[web]'
	@touch $(WEB)

# --- long suites; their last results stand in docs/verification.md --------------------------------

test-exhaustive: install  ## sigmoid and tanh over all finite float32 inputs
	$(BIN)/cmake -G Ninja -S . -B $(BUILD) -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja
	$(BIN)/cmake --build $(BUILD) --target exhaustive_activations
	$(BUILD)/exhaustive_activations

test-variants: install  ## two thousand random cells, shapes and kinds of noise on each instruction set
	$(BIN)/python -m pytest -n 2 -m slow tests/parity/test_native_variants.py

test-calibration: install  ## false claims on random walks, signs of planted drivers; the demo's picture
	$(BIN)/python -m pytest -n 2 -m slow tests/unit/forecast tests/docs \
	  --ignore tests/unit/forecast/test_intervals.py

test-intervals: install  ## coverage and widths of intervals, 200 series of each family: three hours
	$(BIN)/python -m pytest -n 2 -m slow tests/unit/forecast/test_intervals.py

test-torch: install  ## PyTorch's own database of LSTM inputs, with ours in place
	$(BIN)/python -m pytest -n 2 -m slow tests/pytorch

test-leaks: install  ## a million streaming steps, a thousand training steps: memory stays flat
	$(BIN)/python -m pytest -m slow tests/unit/test_flat_memory.py

FUZZ_SEED    ?= 1
FUZZ_CALLS   ?= 50000
FUZZ_FILES   ?= 20000
FUZZ_MINUTES ?= 10

# All of it runs, whatever fails: one fault should not hide another.
fuzz: install  ## random calls, mutated files, threads and forks, the whole grid of splits
	failed=; \
	$(BIN)/python -m tests.fuzz.random_calls --count $(FUZZ_CALLS) --seed $(FUZZ_SEED) || failed=1; \
	$(BIN)/python -m tests.fuzz.mutate_files --count $(FUZZ_FILES) --seed $(FUZZ_SEED) || failed=1; \
	$(BIN)/python -m tests.fuzz.threads_and_forks --minutes $(FUZZ_MINUTES) --seed $(FUZZ_SEED) || failed=1; \
	GATEWISE_GRID=full $(BIN)/python -m pytest tests/parity/test_splits.py || failed=1; \
	test -z "$$failed"

# One instruction set at a time and little optimised, so that each builds in minutes.
SANITIZERS ?= address,undefined thread
ISAS ?= $$($(BIN)/python -c "from gatewise import native_info; \
  print(*(i for i in native_info()['available'] if i != 'avx512bf16'))")

test-sanitize: install  ## the core under Address-, UndefinedBehavior- and ThreadSanitizer
	for isa in $(ISAS); do for kind in $(SANITIZERS); do \
	  $(BIN)/cmake -G Ninja -S . -B build/$$kind-$$isa -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja \
	    -DCMAKE_CXX_FLAGS="-fsanitize=$$kind -fno-sanitize-recover=all -g1 -Wno-tsan" \
	    -DGATEWISE_OPTIMIZE=-O1 \
	    -DGATEWISE_ISAS="$$(echo $$isa | sed 's/^avx512$$/avx512;avx512bf16/')" && \
	  $(BIN)/cmake --build build/$$kind-$$isa --target native_smoke native_grid native_threads && \
	  build/$$kind-$$isa/native_threads && \
	  build/$$kind-$$isa/native_smoke && build/$$kind-$$isa/native_grid || exit 1; \
	done; done

test-machines: install  ## what another processor can break, under all settings of this one; an hour
	$(BIN)/python tests/machines.py --write

test-valgrind: install  ## the core under memcheck (needs valgrind, which knows no AVX-512)
	$(BIN)/cmake -G Ninja -S . -B build/valgrind -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja
	$(BIN)/cmake --build build/valgrind --target native_smoke native_grid
	valgrind --quiet --error-exitcode=1 build/valgrind/native_smoke small
	valgrind --quiet --error-exitcode=1 build/valgrind/native_grid small 7

example-c: install  ## the library installed, and the example in C that uses it
	$(BIN)/cmake -G Ninja -S . -B build/library -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja \
	  -DGATEWISE_ISAS=portable -DCMAKE_INSTALL_PREFIX=$(CURDIR)/build/installed
	$(BIN)/cmake --build build/library --target gatewise_core
	$(BIN)/cmake --install build/library
	$(BIN)/cmake -G Ninja -S native/examples -B build/example \
	  -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja -DCMAKE_PREFIX_PATH=$(CURDIR)/build/installed
	$(BIN)/cmake --build build/example
	build/example/stream

test-neon: install  ## the core under qemu (needs g++-aarch64-linux-gnu and qemu-user-static)
	$(BIN)/cmake -G Ninja -S . -B build/neon -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja \
	  -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
	  -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ -DCMAKE_EXE_LINKER_FLAGS=-static
	$(BIN)/cmake --build build/neon --target native_smoke native_grid native_threads
	qemu-aarch64-static build/neon/native_threads
	qemu-aarch64-static build/neon/native_smoke small
	qemu-aarch64-static build/neon/native_grid small

clean:
	rm -rf build out .coverage .coverage.* .pytest_cache .ruff_cache .hypothesis
	find src tests benchmarks examples -name __pycache__ -prune -exec rm -rf {} +
