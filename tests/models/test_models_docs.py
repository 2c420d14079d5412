"""The pages about networks: their Python runs, and their tables say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from documentation import blocks, page
from omnireid.models.cards import list_architectures, list_models, model_card
from omnireid.models.complexity import complexity
from omnireid.models.registry import build_model
from omnireid.models.shipped import list_shipped

NAMES = ("networks", "ablations", "weights", "converting")
PAGES = [f"guides/models/{name}.md" for name in NAMES]


def _rows(name: str) -> list[list[str]]:
    section = page(name)
    lines = [line for line in section.splitlines() if line.startswith("|") and "---" not in line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    code = blocks(*PAGES)
    assert len(code) == 6
    exec(compile("\n".join(code), "docs/guides/models", "exec"), {})
    printed = capsys.readouterr().out
    assert "201,864 parameters, 82.3 M multiply-adds" in printed
    assert "osnet_x0_25 751" in printed


def test_the_table_of_networks():
    rows = {cells[0].strip("`"): cells for cells in _rows("guides/models/networks.md")[1:]}
    assert tuple(rows) == list_architectures()
    for name, cells in rows.items():
        assert cells[1] == f"{model_card(name).num_parameters:,}"
        assert cells[2] == f"{complexity(build_model(name)).mult_adds / 1e6:.1f}"


def test_the_table_of_ablations():
    for number, _, options, parameters, _ in _rows("guides/models/ablations.md")[1:]:
        chosen = eval(f"dict({', '.join(re.findall('`([^`]*)`', options))})")
        counted = sum(parameter.numel() for parameter in build_model("osnet_x1_0", **chosen).parameters())
        assert f"{counted:,}" == parameters, number


def test_the_tables_of_figures():
    datasets = {
        "Market-1501": "market1501",
        "DukeMTMC-reID": "dukemtmcreid",
        "CUHK03": "cuhk03",
        "MSMT17": "msmt17",
    }
    others = {"market1501": "ms_d_c", "dukemtmcreid": "ms_m_c", "cuhk03": "ms_d_m", "msmt17": "d_m_c"}
    header: list[str] = []
    seen = set()
    for cells in _rows("reference/networks.md"):
        if cells[1] in datasets:
            header = [datasets[cell] for cell in cells[1:]]
            continue
        for tested_on, cell in zip(header, cells[1:], strict=True):
            if not cell:
                continue
            name = cells[0].split("`")[1]
            if "three others" in cells[0]:
                name = f"{name}_{others[tested_on]}"
            elif name in list_architectures():
                name = f"{name}_{tested_on}"
            (metric,) = (metric for metric in model_card(name).metrics if metric.dataset == tested_on)
            assert cell == f"{metric.rank1 * 100:.1f} ({metric.mAP * 100:.1f})", (name, tested_on)
            seen.add((name, tested_on))
    published = set(list_models()) - set(list_shipped())
    on_cards = {(name, metric.dataset) for name in published for metric in model_card(name).metrics}
    assert seen == on_cards
