"""The examples of docs/calibration.md do what the page says, and its figures are those that were measured."""

from __future__ import annotations

import doctest
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "calibration.md"


def test_every_example_of_the_page_runs() -> None:
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, PAGE.name, str(PAGE), 0)
    assert len(examples.examples) >= 18
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.REPORT_ONLY_FIRST_FAILURE)
    failed = runner.run(examples, out=said.append).failed
    assert failed == 0, "".join(said)


def test_the_page_quotes_the_measurement() -> None:
    text = PAGE.read_text(encoding="utf-8")
    measured = json.loads((ROOT / "benchmarks/results/calibration.json").read_text())
    rendered = measured["rendered"]
    for name, row in rendered["tracklets_against_labels"].items():
        threshold = row["threshold"]
        assert f"| {threshold['mean']:.3f} ± {threshold['deviation']:.3f} |" in text, name
        assert f"{100 * row['false_alarms']['mean']:.2f} ±" in text, name
    for rows in (rendered["whitening"], rendered["whitening_untrained"]):
        for row in rows.values():
            assert f"{100 * row['eer']['mean']:.1f} %" in text
            assert f"{100 * row['misses']['mean']:.1f} %" in text
    for one in ("s1+s3 → s2+s4, none", "s2+s4 → s1+s3, none"):
        for threshold in measured["real"][one]["thresholds"]:
            if threshold["threshold"] is not None:
                assert f"| {threshold['threshold']:.3f} |" in text
                assert f"| {100 * threshold['held_out']:.1f} % (" in text
