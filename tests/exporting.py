"""Exports with their options in one dictionary, as tests vary them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from omnireid.core.card import ModelCard


def export(network: Any, card: ModelCard, path: Path, **options: Any) -> Any:
    """`export_model`, whose form and comparison are made of the options that belong to them."""
    from omnireid.inference.export.exporter import export_model
    from omnireid.inference.export.parity import Comparison
    from omnireid.inference.options import ExportForm

    parts = [
        kind(**{item.name: options.pop(item.name) for item in fields(kind) if item.name in options})
        for kind in (ExportForm, Comparison)
    ]
    return export_model(network, card, path, *parts, **options)
