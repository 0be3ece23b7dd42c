# The few words that a person needs; Meson does the work.
BUILD ?= build
PACKAGES = $(shell sed 's/\#.*//' packages.txt)
SUDO = $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: setup build test demo run bench lint fuzz torture clean

# Installs what is missing (Debian), nothing else.
setup:
	@missing=""; for p in $(PACKAGES); do \
		dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then echo "installing:$$missing"; \
		$(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi

build: setup
	@[ -f $(BUILD)/build.ninja ] || meson setup $(BUILD) --buildtype=release >/dev/null
	@ninja -C $(BUILD) agent-sre agent-sre.1

# Real Prometheus and Alertmanager, a service that breaks, a function that repairs it: the whole loop.
demo: build
	@python3 demo/demo.py --agent $(BUILD)/agent-sre

# The same, left running for you to play with.
run: build
	@python3 demo/demo.py --agent $(BUILD)/agent-sre --stay

test: setup
	@tests/run.sh

# Beside Alertmanager, in the same run; writes bench/results.md.
bench: build
	@python3 bench/intake.py --agent $(BUILD)/agent-sre

build/venv/bin/python:
	@/usr/bin/python3 -m venv build/venv && build/venv/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt

# 1000 times kill -9 at random moments under load, then a quarter as many power cuts: nothing lost, nothing twice.
# The rest of the words: torture.py --help
torture: build | build/venv/bin/python
	@ninja -C $(BUILD) tests/torture/libunsynced.so
	@tests/python.sh tests/torture/torture.py --agent $(BUILD)/agent-sre --kills $(or $(KILLS),1000) --verbose
	@tests/python.sh tests/torture/torture.py --agent $(BUILD)/agent-sre --kills $(or $(CUTS),250) --verbose --power

lint: setup
	@tests/tools/lint.sh

# Each decoder for FUZZ_SECONDS (default 60).
fuzz: setup
	@fuzz/run.sh

clean:
	rm -rf build build-*
