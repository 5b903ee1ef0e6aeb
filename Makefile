# One line each; `make help` lists them.
PY := .venv/bin/python
LINT_NEXTFLOW := 25.04.4
# A file's tests stay in one process: they share what is costly to make. In their order, so that the long ones, which run
# the pipeline, do not come last.
SPREAD := --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: pictures help setup demo test setup-dev setup-web setup-aind try-aind setup-aind-schema setup-docs test-quick test-faults test-full setup-cluster test-cluster bench bench-full bench-gpu truth truth-full lint generate docs clean
help:        ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1  /p' Makefile | column -t -l 2
setup:       ## .venv with the pinned packages, Nextflow and compiled code (once)
	@pipeline/setup/setup.sh
setup-dev: setup  ## the second Nextflow release, for lint and tests
	@pipeline/setup/setup.sh $(LINT_NEXTFLOW)
setup-web:   ## Debian's Chromium, for the tests of the pages
	@command -v chromium >/dev/null || { apt-get -qq update && apt-get -qqy install chromium >/dev/null; } || \
		echo "setup: no Chromium, so the tests of the pages are skipped; install it with: sudo apt-get install chromium"
setup-aind: setup  ## what reads AIND's WavPack-compressed sessions (Debian's libwavpack, as root)
	@pipeline/setup/aind.sh
# Where it cannot be installed, the tests that need it are skipped.
try-aind: setup
	@pipeline/setup/aind.sh || echo "setup: no WavPack, so its tests are skipped"
setup-aind-schema:  ## what reads AIND's metadata in the tests, in .aind/venv
	@pipeline/setup/aind_schema.sh
setup-docs:  ## what builds the site, in .docs/venv
	@pipeline/setup/docs.sh
demo: setup  ## make a two-probe SpikeGLX session, sort it, score it against the truth
	@$(PY) -m capsules demo .demo
test: setup-dev setup-web setup-docs  ## the quick half, which CI runs (11 minutes on 2 cores)
	$(PY) -m pytest -q -m "not slow and not cluster and not faults" --durations=20 $(SPREAD)
# Those of tests/unit that run stages or processes.
LONGER := artifacts command commands docs_site electrode_locations formats load noise nwb_clock nwb_units patches preprocessing resources saturation verdicts
test-quick: setup  ## a minute of them, while you write: no Nextflow, no sorter
	$(PY) -m pytest -q -m "not slow" $(SPREAD) tests/unit $(LONGER:%=--ignore=tests/unit/test_%.py)
test-faults: setup  ## kills, full disks, lost files: real runs are harmed and brought back (as root, to mount small disks)
	$(PY) -m pytest -q --durations=10 $(SPREAD) tests/faults
test-full: setup-dev setup-web try-aind setup-docs setup-aind-schema  ## everything, the slow half and the faults too (an hour and a half)
	$(PY) -m pytest -q -m "not cluster" --durations=40 $(SPREAD)
truth: setup  ## recordings of known units through the whole chain, scored stage by stage (40 minutes)
	@$(PY) -m tests.truth.scoreboard
truth-full: setup  ## the same for the whole grid, with Kilosort4 (hours), for docs/truth.md
	@$(PY) -m tests.truth.scoreboard --full
setup-cluster:  ## Debian's SLURM, for test-cluster (as root)
	@PATH="$$PATH:/usr/sbin" command -v slurmctld >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		apt-get -qq update && apt-get -qqy install slurm-wlm munge >/dev/null; } || \
		{ echo "setup: no SLURM; install it with: sudo apt-get install slurm-wlm munge"; exit 1; }
test-cluster: setup-dev setup-cluster  ## the two-probe demo and what goes wrong, on a real SLURM of one node
	$(PY) -m pytest -q -m cluster --durations=20 tests/cluster
bench: setup  ## seconds, memory and bytes, for docs/benchmarks.md (half an hour)
	@$(PY) -m tests.bench
bench-full: setup  ## 384 channels x 600 s through the whole pipeline (an hour, 50 GB of disk)
	@$(PY) -m tests.bench.full $(ARGS)
# Without setup: a machine without network has its packages already (PY=python3); ARGS="--small" is for the CPU.
bench-gpu:   ## the same on a machine with a GPU, without Nextflow: docs/gpu.md (8 minutes)
	@$(PY) -m tests.bench.gpu $(ARGS)
lint: setup-dev  ## ruff, mypy, codespell, words, nextflow lint, generated files
	$(PY) -m ruff check . && $(PY) -m ruff format --check . && .venv/bin/codespell && $(PY) -m capsules.generate --check
	.venv/bin/mypy && $(PY) -m tests.style
	SPIKERELAY_NEXTFLOW=$(LINT_NEXTFLOW) ./nextflow lint main_multi_backend.nf pipeline nextflow_local.config nextflow_slurm.config
generate: setup  ## default params, schema and parameter page from the models
	@$(PY) -m capsules.generate
docs: setup-docs  ## the manual as a site: .docs/site/index.html
	@NO_MKDOCS_2_WARNING=1 .docs/venv/bin/mkdocs build --clean --config-file docs/site/mkdocs.yml
	@echo "docs: $(CURDIR)/.docs/site/index.html"
pictures: setup setup-web  ## the pictures of the documentation, from the demo and ../shared (minutes; .pictures keeps what they are made from)
	@$(PY) -m tests.pictures $(GROUPS)
clean:       ## forget the demo's session and results
	rm -rf .demo
