"""Our kernels compiled for a GPU that need not be here: they fit Hopper and use its matrix instructions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
# Not imported: that must happen in test_inference_triton, which decides whether it interprets.
if find_spec("triton") is None:
    pytest.skip("needs Triton; .ci/check_triton.sh runs this with it", allow_module_level=True)

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_lowering.py"
SHARED_LIMIT = 227 * 1024


def lowered(*arguments: str) -> list[dict[str, Any]]:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--json", *arguments], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    kernels: list[dict[str, Any]] = json.loads(done.stdout)
    return kernels


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "batch", "precision"),
    [("osnet_x1_0", "256", "bf16"), ("osnet_x1_0", "1", "fp16"), ("osnet_ain_x0_25", "1", "bf16")],
)
def test_kernels_fit_a_hopper_and_spill_nothing(model: str, batch: str, precision: str) -> None:
    kernels = lowered("--model", model, "--batch", batch, "--precision", precision)
    assert len(kernels) > 15
    for kernel in kernels:
        assert kernel["shared"] <= SHARED_LIMIT, kernel
        assert kernel["spilt"] == 0, kernel
        # A normalising step multiplies matrices only where its block has a shortcut convolution.
        if kernel["step"].endswith("normalise"):
            continue
        is_product = "BLOCK_K" in kernel["tile"] or kernel["step"] == "conv1"
        assert (kernel["wgmma"] + kernel["mma"] > 0) == is_product, kernel
        if (model, batch) == ("osnet_x1_0", "256") and is_product and kernel["step"] != "fc":
            assert kernel["wgmma"] > 0, kernel
