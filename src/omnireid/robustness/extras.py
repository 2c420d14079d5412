"""OpenCV, numba and SciPy, or the error that says which extra brings them."""

from __future__ import annotations

from omnireid.core.errors import MissingExtraError

try:
    import cv2
    import numba
    from scipy import special
except ImportError as error:
    raise MissingExtraError("corrupting pictures", "robustness") from error

# Compiled code is kept beside the sources or, where these cannot be written, in the user's cache folder.
# Never fastmath: the order of floating-point operations decides the last bit, and truncation shows it.
compiled = numba.njit(cache=True, nogil=True, error_model="numpy")

__all__ = ["compiled", "cv2", "special"]
