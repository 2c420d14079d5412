"""OpenCV, or the error that says which extra brings it."""

from __future__ import annotations

from omnireid.core.errors import MissingExtraError

try:
    import cv2
except ImportError as error:
    raise MissingExtraError("the renderer", "synth") from error

__all__ = ["cv2"]
