"""OpenCV and SciPy, or the error that says which extra brings them."""

from __future__ import annotations

from omnireid.core.errors import MissingExtraError

try:
    import cv2
    from scipy import special
except ImportError as error:
    raise MissingExtraError("corrupting pictures", "robustness") from error

__all__ = ["cv2", "special"]
