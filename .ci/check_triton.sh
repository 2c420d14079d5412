#!/usr/bin/env bash
# The GPU kernels, in Triton's interpreter and compiled for Hopper, on a machine without a GPU.
#
# Triton is not in `dev`: its wheel has 286 MB and 900 MB on disk, and CUDA builds of torch bring a version of their
# own. Here it lies in a folder beside the environment, which it leaves as it is. 3.9.0 spills 8 bytes in one kernel.
set -euo pipefail
cd "$(dirname "$0")/.."

[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || { echo "Triton's tests need Linux on x86-64"; exit 0; }
folder=build/triton-3.8.0
[ -d "$folder/triton" ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" triton==3.8.0
PYTHONPATH="$folder" .venv/bin/python -m pytest -q -n auto tests/inference/test_inference_triton.py tests/inference/test_inference_triton_lowering.py
