#!/bin/sh
# The Python that has the test packages (tests/run.sh installs them), chosen when a test runs, not when Meson configures.
venv="$(dirname "$0")/../build/venv/bin/python"
[ -x "$venv" ] || venv=python3
exec "$venv" "$@"
