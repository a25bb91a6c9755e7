# Everything a fresh machine needs is set up by these targets; run them as often as you like.
#   make demo           export, verify and use four models, on one page: demo-out/index.html
#   make gallery        make demo, and the pictures of README.md and docs that come from it
#   make test           the tests (under ten minutes on two cores)
#   make test-all       adds the long tests, and test-oldest
#   make test-hostile   hostile inputs of every kind: tried, held, fell, worst costs; ARGS="-v models"
#   make test-hostile-oldest  the hostile model files on onnxruntime 1.18.0
#   make test-oldest    files of the newest stack on Python 3.10, numpy 1.24.4, onnxruntime 1.18.0
#   make test-arm64     the runtime's tests and every file's self-test on emulated arm64 processors (Debian; 15 minutes)
#   make check          ruff, mypy strict, import contracts
#   make format         let ruff fix and format the code
#   make security-page  write the table of SECURITY.md from the markers on the tests
#   make package-check  build the wheel and the sdist, install the wheel in a bare environment, run it
#   make release-check  package-check, and version, changelog and kept artifacts of a release
#   make docs           build the documentation site: build/site/index.html
#   make bench-engines  plain export, five other engines and fcn-edge; NET=corridor ARGS="--size 480x640"
#   make bench-maps     maps beside the usual ways to label large rasters, geodeep and torchgeo: seconds, memory, pixels
#   make bench-run      a folder of photographs: `run` beside the network alone and a plain loop; MODEL=road.onnx
#   make bench-serve    HTTP beside a plain loop: rates, times, memory; MODEL=road.onnx ARGS="--clients 8"
#   make bench-guard    is this tree slower than the last release? BASE=COMMIT or path.whl; ARGS="--only map --fail-above 1.2"
#   make bench-scaling  time, memory and files against pixels, classes, images, batch, threads, clients; ARGS=--quick
#   make networks       networks of other libraries, compared with PyTorch: docs/networks.md; ARGS="monai --only UNet"
#   make cpp-example    build/segment, which labels a PPM: runtime/cpp on the onnxruntime of .venv
#   make consumers      what the long tests of variants and packages need: Model API, luxonis-ml, transformers
#   make node-packages  what the long tests of the browser's side need from npm
#   make gpu            tests and times on an NVIDIA GPU, in 9 minutes, by GPU_PYTHON, which has torch and onnxruntime-gpu; else a dry run
#   make clean          remove all that these targets made

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
WORKERS ?= 2

OLDEST_PYTHON ?= $(shell command -v python3.10 >/dev/null 2>&1 && python3.10 --version >/dev/null 2>&1 && echo python3.10 \
	|| ls $(HOME)/.pyenv/versions/3.10.*/bin/python3.10 2>/dev/null | tail -n 1)
OLDEST := .venv-oldest

ARM64 := .venv-arm64
ARM64_CPUS ?= max cortex-a72
ARM64_PACKAGES := numpy onnxruntime onnx click rich pillow rosbags mcap mcap-ros2-support pytest hypothesis

ENGINES := .venv-engines
ENGINE_PINS := benchmarks/comparison/environments
ENGINE_STAMPS := $(patsubst %,$(ENGINES)/%/.ready,torch openvino ort-openvino mnn ncnn)
NET ?= corridor

NETWORKS := .venv-networks
NETWORK_PINS := benchmarks/networks/environment/networks
MAPS := .venv-maps
MAPS_PINS := benchmarks/maps/environment/maps
ARGS ?=
MODEL ?=
BASE ?=

GPU_PYTHON ?= $(BIN)/python

CONSUMERS := .venv-consumers
CONSUMER_PINS := tests/environments/consumers
NODE := tests/web/node_modules
ONNXRUNTIME_ROOT ?= build/onnxruntime

.PHONY: help demo gallery test test-all test-hostile test-hostile-oldest check test-oldest test-arm64 format security-page \
	package-check release-check docs bench-engines bench-maps bench-run bench-serve bench-guard bench-scaling networks cpp-example consumers node-packages gpu clean

help:
	@sed -n 's/^#   //p' Makefile

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "got Python %d.%d, expected 3.11 or newer: make PYTHON=python3.11" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)

# A stamp is newer than what it was installed from, so setting up again costs nothing until that changes.
$(VENV)/.ready: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
	touch $@

# The demo needs a part of it, and compiles what it imports: a third of the time. Where Python is told to write
# no bytecode, as in many containers, each process would compile torch again, until .ready compiles the rest.
$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[export,cpu,images,demo]'
	touch $@

demo: $(if $(wildcard $(VENV)/.ready),$(VENV)/.ready,$(VENV)/.demo)
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/fcn-edge demo -o demo-out

gallery: demo
	cp demo-out/gallery.jpg demo-out/effects.jpg docs/images/

test: $(VENV)/.ready
	$(PYTEST) -n $(WORKERS) -m 'not slow'

test-all: $(VENV)/.ready node-packages consumers
	@$(MAKE) --no-print-directory cpp-example || echo 'the C++ example could not be built: tests of runtime/cpp are skipped' >&2
	$(PYTEST) -n $(WORKERS)
	$(MAKE) test-oldest

test-hostile: $(VENV)/.ready
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.hostile $(ARGS)

test-hostile-oldest: $(VENV)/.ready $(OLDEST)/.ready
	$(BIN)/python -m tests.hostile.written write build/hostile
	PYTHONPATH=.:runtime OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m tests.hostile.written open build/hostile

check: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

package-check: $(VENV)/.ready
	rm -rf dist
	$(BIN)/python -m build --quiet --outdir dist .
	$(PYTEST) tests/release/check_packages.py

release-check: package-check
	$(PYTEST) tests/release/check_release.py

security-page: $(VENV)/.ready
	$(BIN)/python -m tests.security_page

$(VENV)/.docs: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@

# Strict: a link or an anchor that leads nowhere, or a page that loads from another host, ends it.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --config-file docs/mkdocs/mkdocs.yml
	@echo 'build/site/index.html'

format: $(VENV)/.ready
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

$(OLDEST)/.ready: pyproject.toml constraints-oldest.txt
	@test -n "$(OLDEST_PYTHON)" || { echo 'there is no Python 3.10 here: make test-oldest OLDEST_PYTHON=/path/to/python3.10'; exit 1; }
	test -x $(OLDEST)/bin/python || $(OLDEST_PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-oldest.txt '.[cpu,images,robot]' pytest mcap-ros2-support
	touch $@

GEO_TESTS := $(filter-out %/test_sizing.py %/test_tiles.py,$(wildcard tests/runtime/maps/test_*.py))

# Left out: what makes an environment of its own, of newer packages, and what needs the extra `geo`.
test-oldest: $(VENV)/.ready $(OLDEST)/.ready
	$(BIN)/python tests/oldest/make_models.py build/oldest
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps .
	$(BIN)/python -m tests.runtime.make_models build/oldest/kinds
	cd build/oldest && ../../$(OLDEST)/bin/python -m pytest -p no:cacheprovider -c /dev/null --rootdir . ../../tests/oldest/check_oldest.py
	FCN_EDGE_TEST_MODELS=build/oldest/kinds $(OLDEST)/bin/python -m pytest -p no:cacheprovider -q tests/runtime tests/artifacts \
		--ignore tests/runtime/session/test_openvino.py $(addprefix --ignore ,$(GEO_TESTS))

$(ARM64)/.ready: constraints.txt tests/arm64/make_environment.py | $(VENV)/.ready
	$(BIN)/python tests/arm64/make_environment.py $(ARM64) -c constraints.txt $(ARM64_PACKAGES)
	touch $@

ARM64_TESTS := tests/artifacts $(addprefix tests/runtime/,session model imaging evaluation test_segmenter.py \
	test_segmentation.py test_selftest.py test_threshold.py test_batch.py test_trust.py test_sizes.py \
	robot/test_cdr.py robot/test_frames.py)

# Left out: what measures time and memory, which are the emulator's, and what talks over a network.
test-arm64: $(VENV)/.ready $(ARM64)/.ready
	rm -rf build/arm64
	$(BIN)/python -m tests.runtime.make_models build/arm64/kinds
	PYTHONPATH=.:export:runtime $(BIN)/python -W ignore -m tests.arm64.labels write build/arm64/files
	@for cpu in $(ARM64_CPUS); do \
		echo "-cpu $$cpu"; \
		export FCN_EDGE_ARM64_CPU=$$cpu FCN_EDGE_TEST_MODELS=build/arm64/kinds PYTHONPATH="$(CURDIR):$(CURDIR)/runtime"; \
		$(ARM64)/bin/python -W ignore -m tests.arm64.labels open build/arm64/files || exit 1; \
		$(ARM64)/bin/python -m pytest -p no:cacheprovider -q -m 'not slow' $(ARM64_TESTS) || exit 1; \
	done

# An engine that cannot be installed here is a row that says so, not the end of the others.
$(ENGINES)/%/.ready: $(ENGINE_PINS)/%.txt $(ENGINE_PINS)/%.constraints.txt
	rm -rf $(ENGINES)/$*
	pip="$(ENGINES)/$*/bin/python -m pip install --quiet --disable-pip-version-check" && $(PYTHON) -m venv $(ENGINES)/$* \
		&& $$pip -c $(ENGINE_PINS)/$*.constraints.txt -r $< \
		&& { ! test -f $(ENGINE_PINS)/$*.no-deps.txt || $$pip --no-deps -r $(ENGINE_PINS)/$*.no-deps.txt; } \
		&& touch $@ || { rm -rf $(ENGINES)/$*; echo "the environment $* could not be made" >&2; }

bench-engines: $(VENV)/.ready $(ENGINE_STAMPS)
	$(BIN)/python -m benchmarks.comparison $(NET) $(ARGS)

$(NETWORKS)/.ready: pyproject.toml constraints.txt $(wildcard $(NETWORK_PINS)*.txt)
	rm -rf $(NETWORKS)
	$(PYTHON) -m venv $(NETWORKS)
	pip="$(NETWORKS)/bin/python -m pip install --quiet --disable-pip-version-check" \
		&& $$pip -c constraints.txt -c $(NETWORK_PINS).constraints.txt '.[export,cpu,images]' -r $(NETWORK_PINS).txt \
		&& $$pip --no-deps -r $(NETWORK_PINS).no-deps.txt
	touch $@

# Without these tools, their rows say so.
$(MAPS)/.ready: $(wildcard $(MAPS_PINS)*.txt)
	rm -rf $(MAPS)
	pip="$(MAPS)/bin/python -m pip install --quiet --disable-pip-version-check" && $(PYTHON) -m venv $(MAPS) \
		&& $$pip -c $(MAPS_PINS).constraints.txt -r $(MAPS_PINS).txt && $$pip --no-deps -r $(MAPS_PINS).no-deps.txt \
		&& touch $@ || { rm -rf $(MAPS); echo "the environment of geodeep and torchgeo could not be made" >&2; }

bench-maps: $(VENV)/.ready $(MAPS)/.ready
	mkdir -p build/maps
	test -f build/maps/corridor.onnx || $(BIN)/fcn-edge export corridor -o build/maps/corridor.onnx
	test -f build/maps/raster.tif || $(BIN)/python -m tests.maps.make_big 3061 4021 build/maps/raster.tif
	$(BIN)/python -m benchmarks.maps build/maps/corridor.onnx build/maps/raster.tif --python $(MAPS)/bin/python
	$(BIN)/fcn-edge bench build/maps/corridor.onnx --map build/maps/raster.tif

bench-run: $(VENV)/.ready
	$(BIN)/python -m benchmarks.folders $(MODEL) $(ARGS)

bench-serve: $(VENV)/.ready
	$(BIN)/python -m benchmarks.serving $(MODEL) $(ARGS)

bench-guard: $(VENV)/.ready
	$(BIN)/python -m benchmarks.guard --base '$(BASE)' $(ARGS)

bench-scaling: $(VENV)/.ready
	mkdir -p build/scaling
	test -n "$(MODEL)" || test -f build/scaling/corridor.onnx || $(BIN)/fcn-edge export corridor -o build/scaling/corridor.onnx
	$(BIN)/python -m benchmarks.scaling $(or $(MODEL),build/scaling/corridor.onnx) -o build/scaling $(ARGS)

networks: $(VENV)/.ready $(NETWORKS)/.ready
	$(BIN)/python -m benchmarks.networks --python $(NETWORKS)/bin/python $(ARGS)

build/onnxruntime/.ready: $(VENV)/.ready runtime/cpp/get_onnxruntime.py
	$(BIN)/python runtime/cpp/get_onnxruntime.py build/onnxruntime
	touch $@

# A release of onnxruntime in ONNXRUNTIME_ROOT is used as it is.
cpp-example: $(if $(filter build/onnxruntime,$(ONNXRUNTIME_ROOT)),build/onnxruntime/.ready)
	cmake -S runtime/cpp -B build/cpp -DCMAKE_BUILD_TYPE=Release -DCMAKE_RUNTIME_OUTPUT_DIRECTORY=$(abspath build) \
		-DONNXRUNTIME_ROOT=$(abspath $(ONNXRUNTIME_ROOT)) --log-level=WARNING
	cmake --build build/cpp -- --no-print-directory --silent
	@echo 'build/segment'

# Installation scripts stay off: they would download libraries for GPUs.
$(NODE)/.ready: tests/web/package.json
	npm install --prefix tests/web --ignore-scripts --no-package-lock --no-fund --no-audit --loglevel=error
	touch $@

# Without npm, or where it cannot install, the tests that need its packages are skipped.
node-packages:
	@if ! command -v npm >/dev/null; then echo 'npm is not installed: tests that need its packages are skipped' >&2; \
		else $(MAKE) --no-print-directory $(NODE)/.ready || echo 'the npm packages could not be installed: tests that need them are skipped' >&2; fi

$(CONSUMERS)/.ready: $(wildcard $(CONSUMER_PINS)*.txt)
	rm -rf $(CONSUMERS)
	$(PYTHON) -m venv $(CONSUMERS)
	$(CONSUMERS)/bin/python -m pip install --quiet --disable-pip-version-check -c $(CONSUMER_PINS).constraints.txt -r $(CONSUMER_PINS).txt
	touch $@

consumers:
	@$(MAKE) --no-print-directory $(CONSUMERS)/.ready || { rm -rf $(CONSUMERS); echo 'the consumers could not be installed: tests that need them are skipped' >&2; }

# On a machine with a GPU, by a Python that is there: a CUDA build of torch takes longer to install than to measure.
gpu: $(if $(filter $(BIN)/python,$(GPU_PYTHON)),$(VENV)/.ready)
	PYTHONPATH=.:export:runtime $(GPU_PYTHON) -m benchmarks.gpu $(ARGS)

clean:
	rm -rf $(VENV) $(OLDEST) $(ARM64) $(ENGINES) $(NETWORKS) $(MAPS) $(CONSUMERS) $(NODE) build dist demo-out .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
