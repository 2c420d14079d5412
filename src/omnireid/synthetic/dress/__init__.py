"""What a person wears: drawn from a place's dress code, the textures of it, look-alikes and changed
clothes."""

from omnireid.synthetic.dress.codes import DressCode, draw_dress_code
from omnireid.synthetic.dress.look_alikes import change_clothes, outfit_of, put_on, put_on_like
from omnireid.synthetic.dress.outfit import Outfit
from omnireid.synthetic.dress.textures import dress, gloss
from omnireid.synthetic.dress.wardrobe import draw_outfit
from omnireid.synthetic.dress.wearer import Wearer

__all__ = [
    "DressCode",
    "Outfit",
    "Wearer",
    "change_clothes",
    "draw_dress_code",
    "draw_outfit",
    "dress",
    "gloss",
    "outfit_of",
    "put_on",
    "put_on_like",
]
