"""A dressed person of a shape and a cut."""

from __future__ import annotations

from omnireid.synthetic.people.body import make_body
from omnireid.synthetic.people.garments import Tailor
from omnireid.synthetic.people.head import Milliner
from omnireid.synthetic.people.outfit import OutfitCut
from omnireid.synthetic.people.rigged import RiggedPerson, assembled
from omnireid.synthetic.people.shape import Shape
from omnireid.synthetic.people.things import things


def build_person(shape: Shape, cut: OutfitCut | None = None, *, coarse: bool = False) -> RiggedPerson:
    """All geometry of somebody, at rest and bound to bones. Keep it: posing it again is cheap.

    Args:
        cut: OutfitCut() when not given.
        coarse: fewer triangles, for figures of less than some 100 pixels.
    """
    cut = cut or OutfitCut()
    body = make_body(shape, coarse=coarse)
    tailor = Tailor(body, cut)
    pieces = [*Milliner(body, cut).pieces(), *tailor.clothes(), *things(tailor)]
    return assembled(body, [piece for piece in pieces if len(piece.faces)], cut)
