"""`omnireid export`: a model file that runs without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import stdout


def export(
    model: options.Model,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write (.onnx).")],
) -> None:
    """Export weights to ONNX: uint8 crops in, embeddings out, with a proof that both agree."""
    from omnireid.inference.embedder import find_weights
    from omnireid.inference.export import export_onnx
    from omnireid.models.weights import load_weights

    network, card = load_weights(find_weights(model))
    proof = export_onnx(network, card, out)
    stdout.print(
        f"{out}: smallest cosine to the torch model {proof.min_cosine:.7f} over {proof.num_crops} crops",
        markup=False,
    )
