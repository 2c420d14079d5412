"""Models as commands open them: with what is not known of them on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omnireid.cli.console import stderr

if TYPE_CHECKING:
    from os import PathLike

    from omnireid.core.card import ModelCard
    from omnireid.inference.embedder import Embedder
    from omnireid.inference.options import Engine


def open_embedder(model: str | PathLike[str], engine: Engine) -> Embedder:
    """`Embedder.open`, and say what was found out or assumed of the file."""
    from omnireid.experiment.opening import open_model

    return open_model(model, engine, console=stderr)


def print_notes(card: ModelCard) -> None:
    """Say what whoever uses the model should know."""
    if card.notes:
        stderr.print(f"note: {card.name}: {card.notes}")
