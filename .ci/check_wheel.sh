#!/usr/bin/env bash
# Install the built wheel as a user does, into an empty environment, and use it outside the tree, without torch.
set -euo pipefail
tree=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

.venv/bin/python -m build --wheel --no-isolation --outdir "$work/dist" . >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
.venv/bin/omnireid export --model runs/quickstart/model.safetensors --out "$work/quickstart.onnx"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --constraint constraints.txt "$(echo "$work"/dist/*.whl)[serve]"

cd "$work"
if venv/bin/python -c 'import torch' 2>/dev/null; then
    echo "the base install brought torch along"; exit 1
fi
venv/bin/omnireid --version
venv/bin/omnireid evaluate --model quickstart.onnx --data market-layout --root "$tree/runs/quickstart/data" \
    --distance cosine --normalise --out evaluation
venv/bin/omnireid embed "$tree/runs/quickstart/data/query" --model quickstart.onnx --out query.parquet
# Where weights ship, no model need be named.
if [ -f "$(venv/bin/python -c 'from omnireid.models.shipped import FOLDER; print(FOLDER)')/osnet_x0_25_rendered.safetensors" ]; then
    venv/bin/omnireid embed "$tree/runs/quickstart/data/query" --out shipped.parquet
fi
# The weights themselves run without torch, too: our CPU engine gives what ONNX Runtime gives.
venv/bin/omnireid embed "$tree/runs/quickstart/data/query" --model "$tree/runs/quickstart/model.safetensors" --out native.parquet
venv/bin/python - <<'PYTHON'
from omnireid import read_embeddings
runtime, native = read_embeddings("query.parquet"), read_embeddings("native.parquet")
assert runtime.paths == native.paths
smallest = (runtime.vectors * native.vectors).sum(1).min()
assert smallest > 0.99999, smallest
PYTHON
venv/bin/python - "$tree/runs/quickstart/result.json" <<'PYTHON'
import sys
from omnireid.core.record import ResultRecord
trained, installed = ResultRecord.load(sys.argv[1]), ResultRecord.load("evaluation/result.json")
assert abs(trained.metrics.mAP - installed.metrics.mAP) < 1e-3, (trained.metrics, installed.metrics)
PYTHON
# And it serves: enrol, then search, over HTTP.
queries=("$tree"/runs/quickstart/data/query/*.jpg)
query=${queries[0]}
venv/bin/omnireid serve --model quickstart.onnx --gallery gallery --port 0 >served 2>&1 &
server=$!
# The server may have ended by itself; then there is nothing to kill.
trap 'kill $server 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 120); do url=$(sed -n 's/^serving on //p' served); [ -n "$url" ] && break; sleep 0.5; done
curl --silent --fail --retry 60 --retry-delay 1 --retry-all-errors "$url/readyz"
curl --silent --fail --data-binary "@$query" -H 'content-type: image/jpeg' "$url/v1/enrol?camera=1&identity=somebody"
curl --silent --fail --data-binary "@$query" -H 'content-type: image/jpeg' "$url/v1/search" | grep '"identity":"somebody"' >/dev/null
curl --silent --fail "$url/" | grep '<title>' >/dev/null
kill -TERM $server && wait $server
echo "the wheel installs and works outside the tree, without torch, and serves"
