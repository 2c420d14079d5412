"""The geometry of people: bodies of MakeHuman's assets (CC0), poses, garments, hair, things carried.

Body frame: origin on the ground below the pelvis, x forward, y to the person's left, z up, metres.
"""

from omnireid.synthetic.people.outfit import SLOTS, OutfitCut

__all__ = ["SLOTS", "OutfitCut"]
