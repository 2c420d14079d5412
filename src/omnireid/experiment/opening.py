"""Models as experiments and commands open them: with what is not known of them said."""

from __future__ import annotations

import os

from rich.console import Console

from omnireid.inference.embedder import Embedder
from omnireid.inference.options import Engine


def open_model(
    model: str | os.PathLike[str],
    engine: Engine = Engine(),
    *,
    normalise: bool = True,
    console: Console | None = None,
) -> Embedder:
    """`Embedder.open`, and say on the console what was found out or assumed of the file; errors as there."""
    embedder = Embedder.open(model, **vars(engine), normalise=normalise)
    if console is not None and embedder.card.notes:
        console.print(f"note: {embedder.card.name}: {embedder.card.notes}", markup=False)
    return embedder
