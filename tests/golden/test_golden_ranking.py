"""Ranking metrics beside what the reference implementation computed (shared/golden/rank_case*.npz)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from omnireid import Reranking, rank_metrics
from omnireid.evaluation.reranking import reranked_distances
from omnireid.evaluation.result import RetrievalResult

UNTIED = ("case1_plain", "case2_nomatch", "case4_singlecam")
TIED = ("case3_ties",)


def load(golden_dir: Path, case: str) -> tuple[dict[str, np.ndarray], RetrievalResult]:
    with np.load(golden_dir / f"rank_{case}.npz") as arrays:
        golden = {name: arrays[name] for name in arrays}
    names = ("distmat", "q_pids", "g_pids", "q_camids", "g_camids")
    return golden, rank_metrics(*(golden[name] for name in names))


def test_the_manifest_lists_no_other_case(golden_dir: Path) -> None:
    manifest = json.loads((golden_dir / "rank_manifest.json").read_text())
    assert set(manifest["cases"]) == {*UNTIED, *TIED}


@pytest.mark.parametrize("case", [*UNTIED, *TIED])
def test_equals_the_stable_float64_reference(golden_dir: Path, case: str) -> None:
    golden, result = load(golden_dir, case)
    assert result.mAP == pytest.approx(float(golden["mAP_ref_stable"]), abs=1e-12)
    np.testing.assert_allclose(result.cmc, golden["cmc_ref_stable"], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(np.flatnonzero(~result.valid), golden["invalid_queries"])


@pytest.mark.parametrize("case", UNTIED)
def test_equals_the_reference_implementation_where_nothing_ties(golden_dir: Path, case: str) -> None:
    golden, result = load(golden_dir, case)
    assert result.mAP == pytest.approx(float(golden["mAP_py"]), abs=1e-7)
    np.testing.assert_allclose(result.cmc, golden["cmc_py"], rtol=0, atol=1e-7)
    # The compiled version adds up in float32.
    assert result.mAP == pytest.approx(float(golden["mAP_cy"]), abs=3e-7)


@pytest.mark.parametrize("case", TIED)
def test_with_ties_lies_between_the_best_and_worst_order(golden_dir: Path, case: str) -> None:
    golden, result = load(golden_dir, case)
    assert float(golden["mAP_ref_worst"]) < result.mAP < float(golden["mAP_ref_best"])


@pytest.mark.parametrize(("k1", "k2", "lambda_"), [(20, 6, 0.3), (10, 3, 0.5)])
@pytest.mark.parametrize("case", [*UNTIED, *TIED])
def test_reranking_equals_the_reference_implementation(
    golden_dir: Path, case: str, k1: int, k2: int, lambda_: float
) -> None:
    with np.load(golden_dir / f"rank_{case}.npz") as golden:
        squared = [golden[name] for name in ("rr_qg", "rr_qq", "rr_gg")]
        expected = golden[f"rr_k1_{k1}_k2_{k2}_lam_{lambda_}"]
    final = reranked_distances(*squared, Reranking(k1, k2, lambda_, "torchreid"))
    np.testing.assert_allclose(final, expected, rtol=0, atol=1e-6)
    # The default is the paper's definition, which is another.
    assert np.abs(reranked_distances(*squared, Reranking(k1, k2, lambda_)) - expected).max() > 1e-3
