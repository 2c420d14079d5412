"""Model cards by name: architectures, weights that ship, and published ones. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from omnireid.core.card import ModelCard
from omnireid.core.errors import UnknownNameError
from omnireid.models.family import HubFile, NetworkFamily
from omnireid.models.registry import FAMILIES
from omnireid.models.shipped import shipped_cards


def list_architectures() -> tuple[str, ...]:
    """Names that `omnireid.models.registry.build_model` takes."""
    return tuple(name for family in FAMILIES.specs() for name in family.architectures)


def list_models() -> tuple[str, ...]:
    """Names of all cards: the architectures, then the weights that ship, then the published ones."""
    cards = {card.name: card for card in shipped_cards()} | _cards(FAMILIES.specs())
    return tuple(sorted(cards, key=lambda name: cards[name].architecture != name))


def model_card(name: str) -> ModelCard:
    """The card of an architecture, of weights that ship, or of published ones.

    Raises:
        UnknownNameError: no such model; names the nearest.
    """
    card = (
        _cards(FAMILIES.ours.values()).get(name)
        or next((card for card in shipped_cards() if card.name == name), None)
        or _cards(FAMILIES.specs()).get(name)
    )
    if card is None:
        raise UnknownNameError("model", name, list_models())
    return card


def hub_file(name: str) -> HubFile | None:
    """Where `pull` finds published weights; None where they are not on the Hugging Face Hub."""
    return next((files[name] for family in FAMILIES.specs() if name in (files := family.hub_files())), None)


def _cards(families: Iterable[NetworkFamily]) -> dict[str, ModelCard]:
    return {card.name: card for family in families for card in _family_cards(family.name)}


@cache
def _family_cards(family: str) -> tuple[ModelCard, ...]:
    return tuple(FAMILIES.get(family).cards())
