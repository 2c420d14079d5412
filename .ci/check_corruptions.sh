#!/usr/bin/env bash
# The corruption benchmark gives the same numbers with one worker and with four.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
evaluate() {
    .venv/bin/omnireid evaluate --model runs/quickstart/model.safetensors --data market-layout \
        --root runs/quickstart/data --corruptions --rounds 1 --no-table --no-analysis --workers "$1" \
        --out "$out/$1" > "$out/$1.txt" 2> /dev/null
}
evaluate 1 &
evaluate 4
wait $!
.venv/bin/python - "$out" <<'PYTHON'
import json
import sys
from pathlib import Path

one, four = (json.loads((Path(sys.argv[1]) / n / "result.json").read_text())["robustness"] for n in "14")
assert one == four, f"workers change the result:\n{one['conditions']}\n{four['conditions']}"
clean, both = (one["conditions"][name]["mAP"]["mean"] for name in ("clean", "both"))
assert 0 < both < clean, f"corrupted mAP {both} should lie below clean {clean}"
print(f"corruption benchmark: mAP {clean:.3f} clean, {both:.3f} corrupted, the same with 1 and 4 workers")
PYTHON
