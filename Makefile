# The few words that a person needs; Meson does the work.
BUILD ?= build
PACKAGES = $(shell sed 's/\#.*//' packages.txt)
SUDO = $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: setup build test demo run bench lint fuzz torture test-s3 integration clean

# Installs what is missing (Debian), nothing else.
setup:
	@missing=""; for p in $(PACKAGES); do \
		dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then echo "installing:$$missing"; \
		$(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi

build: setup
	@[ -f $(BUILD)/build.ninja ] || meson setup $(BUILD) --buildtype=release >/dev/null
	@ninja -C $(BUILD) agent-sre agent-sre-chart.so agent-sre.1

# Real Prometheus and Alertmanager, a service that breaks, a function that repairs it: the whole loop.
demo: build
	@python3 demo/demo.py --agent $(BUILD)/agent-sre

# The same, left running for you to play with.
run: build
	@python3 demo/demo.py --agent $(BUILD)/agent-sre --stay

test: setup
	@tests/run.sh

# Every promised number beside its peer, in the same run; writes bench/results.md. QUICK=1: one short round, writes
# nothing. ONLY=single (batch, steady, call, loops, memory, start, budget): one row.
bench: build
	@ninja -C $(BUILD) bench/ceiling bench/offer bench/loops >/dev/null
	@python3 bench/bench.py --agent $(BUILD)/agent-sre $(if $(QUICK),--quick) $(addprefix --only ,$(ONLY))

build/venv/bin/python:
	@/usr/bin/python3 -m venv build/venv && build/venv/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt

# 1000 times kill -9 at random moments under load, then 250 power cuts (KILLS=n, CUTS=n): nothing lost, nothing twice.
# The rest of the words: torture.py --help
torture: build | build/venv/bin/python
	@ninja -C $(BUILD) tests/torture/libunsynced.so
	@tests/python.sh tests/torture/torture.py --agent $(BUILD)/agent-sre --kills $(or $(KILLS),1000) --verbose
	@tests/python.sh tests/torture/torture.py --agent $(BUILD)/agent-sre --kills $(or $(CUTS),250) --verbose --power

# The S3 tests once more, on another server: it needs Go, and minutes to compile.
test-s3: build | build/venv/bin/python
	@GOBIN=$(CURDIR)/$(BUILD)/go go install github.com/versity/versitygw/cmd/versitygw@v1.8.0
	@VERSITYGW=$(CURDIR)/$(BUILD)/go/versitygw AGENT_SRE=$(CURDIR)/$(BUILD)/agent-sre tests/python.sh tests/tap.py tests/e2e/test_backup_s3.py

# Every LogQL and TraceQL that we send before the grammars of Loki's and Tempo's makers: it needs Node and npm.
integration: build | build/venv/bin/python
	@ninja -C $(BUILD) tests/unit/flow/print_evidence >/dev/null
	@mkdir -p $(BUILD)/node && cp tests/integration/package.json $(BUILD)/node && npm install --prefix $(BUILD)/node --no-audit --no-fund --silent
	@PRINT_EVIDENCE=$(CURDIR)/$(BUILD)/tests/unit/flow/print_evidence NODE_MODULES=$(CURDIR)/$(BUILD)/node tests/python.sh tests/tap.py tests/integration/test_grammars.py

lint: setup
	@tests/tools/lint.sh

# Each decoder for FUZZ_SECONDS (default 60).
fuzz: setup
	@fuzz/run.sh

clean:
	rm -rf build build-*
