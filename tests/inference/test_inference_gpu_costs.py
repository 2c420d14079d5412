"""What was counted for a GPU: the network's own operations, and the page made from them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def costs() -> Any:
    spec = importlib.util.spec_from_file_location("gpu_costs", BENCHMARKS / "gpu_costs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    sys.modules["gpu_costs"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("model", "published"), [("osnet_x1_0", 978.9e6), ("osnet_x0_25", 82.3e6)])
def test_multiply_adds_are_the_papers(costs: Any, model: str, published: float) -> None:
    """Table 6 of the paper, to its last digit; biases, which it counts, are below that."""
    config = costs.architecture_config(model)
    for form in (costs.ours(config, 256), costs.ours(config, 1), costs.compiled(config), costs.eager(config)):
        assert sum(cost.mult_adds for cost in form) == pytest.approx(published, abs=0.06e6)


def test_launches_are_those_of_the_plan(costs: Any) -> None:
    """By hand: stem 2, a block 7 (reduce, four levels, gate, restore), two transitions, conv5 and fc."""
    assert (
        sum(cost.launches for cost in costs.ours(costs.architecture_config("osnet_x1_0"), 1)) == 2 + 6 * 7 + 4
    )


def test_the_page_holds_the_tables_of_the_script(costs: Any) -> None:
    page = (BENCHMARKS.parent / "docs" / "benchmarks" / "gpu.md").read_text()
    for model in costs.MODELS:
        assert costs.layer_table(model) in page
        assert costs.prediction_table(model) in page
