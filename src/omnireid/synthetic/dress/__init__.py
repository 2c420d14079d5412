"""What a person wears: attributes drawn from a place's dress code, the textures they give, and
look-alikes."""

from omnireid.synthetic.dress.codes import DressCode, draw_dress_code
from omnireid.synthetic.dress.outfit import Outfit, draw_outfit
from omnireid.synthetic.dress.textures import dress
from omnireid.synthetic.dress.wearer import Wearer

__all__ = ["DressCode", "Outfit", "Wearer", "draw_dress_code", "draw_outfit", "dress"]
