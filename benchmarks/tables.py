"""The inference tables of docs/benchmarks, made from results/inference*.json, one for each kind of processor.

    python benchmarks/tables.py [--check]

Rewrites what stands between the markers. With --check nothing is written, and the exit code is 1 where a
table is not what the JSON says.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "benchmarks"
RESULTS = ROOT / "benchmarks" / "results"
PROCESSORS = ("inference", "inference_zen4")
BEGIN, END = "<!-- {name}: made by benchmarks/tables.py -->", "<!-- end of {name} -->"

_TITLES = {"osnet_x1_0": "×1.0", "osnet_x0_25": "×0.25", "osnet_ain_x0_25": "AIN ×0.25"}


def short_table(record: dict[str, Any]) -> list[str]:
    """inference.md: for each network, batch and precision the best of the others beside ours."""
    lines = [
        "| network | batch | precision | best of the others, images/s | ours, images/s | ratio | cosine |",
        "|---|---:|---|---|---:|---:|---:|",
    ]
    for result in record["results"]:
        for precision in ("fp32", "bf16", "int8"):
            rows = [row for row in result["forms"] if row["precision"] == precision]
            best = max((row for row in rows if not row["ours"]), key=_rate)
            mine = sorted((row for row in rows if row["ours"]), key=_rate)
            for row in mine[-1:] if precision == "int8" else mine:
                form = row["form"].removeprefix("ours, ")
                lines.append(
                    f"| {_TITLES[result['model']]} | {result['batch']} | {form} "
                    f"| {best['form']}: {_rate(best):,.0f} | {_rate(row):,.0f} "
                    f"| {_rate(row) / _rate(best):.2f} | {_cosine(row)} |"
                )
    for result in record["results"]:
        best = max((row for row in result["forms"] if not row["ours"]), key=_rate)
        own = max((row for row in result["forms"] if row["ours"]), key=_rate)
        lines.append(
            f"| {_TITLES[result['model']]} | {result['batch']} | **the fastest of all**: {own['form']} "
            f"| {best['form']}: {_rate(best):,.0f} | {_rate(own):,.0f} "
            f"| **{_rate(own) / _rate(best):.2f}** | {_cosine(own)} |"
        )
    environment = record["environment"]
    return [*lines, "", f"{record['threads']} threads, {environment['machine']}; random weights, 256×128."]


def long_table(record: dict[str, Any]) -> list[str]:
    """inference-forms.md: every form."""
    lines: list[str] = []
    for result in record["results"]:
        lines += [
            f"**{_TITLES[result['model']]}, batch {result['batch']}**, {result['gflop']:.2f} GFLOP an image",
            "",
            "| form | precision | images/s | fastest call | ms a call | of the ceiling | min cosine |",
            "|---|---|---:|---:|---:|---:|---:|",
        ]
        lines += [
            f"| {row['form']} | {row['precision']} | {_rate(row):,.0f} | {row['fastest_images_per_s']:,.0f} "
            f"| {row['median_ms']:.2f} | {100 * row['share_of_ceiling']:.0f} % | {_cosine(row)} |"
            for row in result["forms"]
        ]
        lines.append("")
        for goal in result["goals"]:
            verdict = "reached" if goal["ratio"] >= goal["wanted"] else "**missed**"
            lines.append(
                f"- {goal['precision']}: {goal['best_own']} makes {goal['ratio']:.2f} times "
                f"{goal['best_other']}; {goal['wanted']} was wanted: {verdict}"
            )
        lines.append("")
    ceiling = record["ceilings_gflops"]
    return [
        *lines,
        f"Ceilings of this machine, the best large matrix product at hand: float32 {ceiling['fp32']:.0f}, "
        f"bfloat16 {ceiling['bf16']:.0f} GFLOP/s.",
    ]


def _rate(row: dict[str, Any]) -> float:
    rate: float = row["images_per_s"]
    return rate


def _cosine(row: dict[str, Any]) -> str:
    """As many nines as there are, and two digits more."""
    loss = max(1 - row["min_cosine"], 0.0)
    return "1 − " + (f"{loss:.0e}".replace("e-0", "e-") if loss > 1e-12 else "1e-12")


def rewritten(text: str, name: str, lines: list[str]) -> str:
    """`text` with what stands between the markers of `name` replaced."""
    begin, end = BEGIN.format(name=name), END.format(name=name)
    if begin not in text or end not in text:
        sys.exit(f"no markers for {name!r}: put these two lines where the table goes:\n{begin}\n{end}")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n" + "\n".join(lines) + f"\n{end}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    records = {name: json.loads((RESULTS / f"{name}.json").read_text()) for name in PROCESSORS}
    stale = []
    for path, made in ((PAGES / "inference.md", short_table), (PAGES / "inference-forms.md", long_table)):
        text = new = path.read_text()
        for name, record in records.items():
            new = rewritten(new, name, made(record))
        if new != text:
            stale.append(str(path.relative_to(ROOT)))
            if not arguments.check:
                path.write_text(new)
    if arguments.check and stale:
        sys.exit(f"not what {RESULTS} says: {', '.join(stale)}; run: python benchmarks/tables.py")


if __name__ == "__main__":
    main()
