#!/usr/bin/env bash
# Set up as the quickstart does, then check style, types and behaviour. Arguments go to pytest, which
# then runs once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash examples/setup.sh
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
if [ "$#" -gt 0 ]; then
  exec .venv/bin/python -m pytest "$@"
fi
# The trainers take all cores by themselves; everything else goes two files at a time.
status=0
.venv/bin/python -m pytest -m "not trainer" --numprocesses 2 --dist loadfile --durations 25 || status=$?
.venv/bin/python -m pytest -m trainer || status=$?
exit "$status"
