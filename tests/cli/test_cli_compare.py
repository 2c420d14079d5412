"""`omnireid compare --format`: a table for a paper on standard output, and nothing else."""

from __future__ import annotations

from pathlib import Path

from command_line import Run
from report.test_report_paper import means, row


def test_tables_for_a_paper(omnireid: Run, tmp_path: Path) -> None:
    for name, one in (("a_b", row("x")), ("cosine", row("x", 0.7, distance="cosine"))):
        (tmp_path / name).mkdir()
        one.record.save(tmp_path / name / "result.json")
    (tmp_path / "seeds").mkdir()
    means("x", 0.86, 0.87, 0.88).record.save(tmp_path / "seeds" / "seeds.json")
    done = omnireid("compare", tmp_path / "a_b", tmp_path / "seeds", "--format", "latex")
    assert (done.code, done.err) == (0, "")
    assert r"osnet (a\_b) & Market-1501 & 94.8 &" in done.out
    assert r"\textbf{87.0} $\pm$ 1.0" in done.out
    named = omnireid("compare", tmp_path / "a_b", "--format", "md", "--name", "Ours")
    assert "| Ours | Market-1501 |" in named.out
    refused = omnireid("compare", tmp_path / "a_b", tmp_path / "cosine", "--format", "csv")
    assert (refused.code, "distance: euclidean, cosine" in refused.err) == (2, True)
    beside = omnireid("compare", tmp_path / "a_b", tmp_path / "cosine", "--format", "csv", "--any-protocol")
    assert (beside.code, beside.out.count("\n")) == (0, 3)
    assert "not alike: distance" in beside.err
    for arguments, said in (
        (["--format", "md", "--json"], "no effect with --format"),
        (["--name", "x"], "no effect without --format"),
        (["--format", "md", "--name", "x", "--name", "y"], "expected 1, one for each result, got 2"),
    ):
        wrong = omnireid("compare", tmp_path / "a_b", *arguments)
        assert (wrong.code, said in wrong.err) == (2, True), wrong.err
