"""The procedural people and camera-network renderer: data with no real person in it.

Torch-free. Drawing needs the extra `synth` (OpenCV), which is imported when something is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omnireid.synthetic.crop import World, render_crop, render_jpeg
    from omnireid.synthetic.dataset import RenderOptions, plan_dataset, render_dataset
    from omnireid.synthetic.sheet import contact_sheet
    from omnireid.synthetic.visits import SeenCrop, camera_names, plan_visits

_HOMES = {
    "RenderOptions": "dataset",
    "SeenCrop": "visits",
    "World": "crop",
    "camera_names": "visits",
    "contact_sheet": "sheet",
    "plan_dataset": "dataset",
    "plan_visits": "visits",
    "render_crop": "crop",
    "render_dataset": "dataset",
    "render_jpeg": "crop",
}

__all__ = [
    "RenderOptions",
    "SeenCrop",
    "World",
    "camera_names",
    "contact_sheet",
    "plan_dataset",
    "plan_visits",
    "render_crop",
    "render_dataset",
    "render_jpeg",
]


def __getattr__(name: str) -> Any:
    # Lazy: importing the package must work, and say nothing, without OpenCV (PEP 562).
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"omnireid.synthetic.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'omnireid.synthetic' has no attribute {name!r}")
