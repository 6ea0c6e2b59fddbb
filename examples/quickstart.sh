#!/usr/bin/env bash
# Both stages of the paper on this machine, from a fresh checkout: no GPU, nothing downloaded but
# Python packages. Arguments go to `ovr quickstart` (--smoke, --out, --help ...); paths among them,
# and runs/, are of the folder one stands in.
set -euo pipefail
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$checkout/examples/setup.sh"
raw=$checkout/../shared/raw
if [ -d "$raw/orz" ] && [ -d "$raw/puzzlevqa" ]; then
  set -- --corpora "$raw" "$@"
fi
exec "$checkout/.venv/bin/ovr" quickstart "$@"
