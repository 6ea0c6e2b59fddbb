#!/usr/bin/env bash
# Both stages of the paper on this machine, from a fresh checkout: no GPU, nothing downloaded but
# Python packages. Arguments go to `ovr quickstart` (--smoke, --out, --help ...).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash examples/setup.sh
if [ -d ../shared/raw/orz ] && [ -d ../shared/raw/puzzlevqa ]; then
  set -- --corpora ../shared/raw "$@"
fi
exec .venv/bin/ovr quickstart "$@"
