"""The examples of docs/guides/deciding do what the pages say, and figures are those that were measured."""

from __future__ import annotations

import json

from documentation import DOCS, page, run_examples


def test_every_example_of_the_pages_runs() -> None:
    run_examples("guides/deciding/file.md", "guides/measuring/open-set.md", at_least=18)


def test_the_pages_quote_the_measurement() -> None:
    pages = ("guides/deciding/tracklets.md", "guides/deciding/whitening.md", "explanation/calibration.md")
    text = "".join(page(name) for name in pages)
    measured = json.loads((DOCS.parent / "benchmarks/results/calibration.json").read_text())
    rendered = measured["rendered"]
    for name, row in rendered["tracklets_against_labels"].items():
        threshold = row["threshold"]
        assert f"| {threshold['mean']:.3f} ± {threshold['deviation']:.3f} |" in text, name
        assert f"{100 * row['false_alarms']['mean']:.2f} ±" in text, name
    for rows in (rendered["whitening"], rendered["whitening_untrained"]):
        for row in rows.values():
            assert f"{100 * row['eer']['mean']:.1f} %" in text
            assert f"{100 * row['misses']['mean']:.1f} %" in text
    for halves in ("s1+s3 → s2+s4, none", "s2+s4 → s1+s3, none"):
        for threshold in measured["real"][halves]["thresholds"]:
            if threshold["threshold"] is not None:
                assert f"| {threshold['threshold']:.3f} |" in text
                assert f"| {100 * threshold['held_out']:.1f} % (" in text
