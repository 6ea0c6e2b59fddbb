#!/usr/bin/env bash
# Make .venv in the checkout: uv by pip, then the plugin with its CPU and test dependencies, every
# version pinned by requirements/cpu-constraints.txt. Done again only when one of its inputs changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

requirements=examples/requirements
inputs=$(cat setup.cfg pyproject.toml "$requirements"/*.txt examples/setup.sh | sha256sum)
stamp=.venv/.ovr-setup
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$inputs" ]; then
  exit 0
fi

python=
for candidate in python3.11 python3.12 python3; do
  if command -v "$candidate" >/dev/null &&
    "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  echo "Python 3.11 or 3.12 is needed, and neither was found on the PATH." >&2
  exit 1
fi

echo "Setting up .venv with $("$python" --version) (a few minutes at the first time, about 7 GB)"
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check \
  --constraint "$requirements/bootstrap.txt" uv
.venv/bin/uv pip install --quiet --python .venv/bin/python \
  --constraint "$requirements/cpu-constraints.txt" \
  --override "$requirements/cpu-overrides.txt" \
  --editable '.[cpu,dev]'
echo "$inputs" >"$stamp"
