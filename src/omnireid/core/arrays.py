"""Array types by the kind of number. Shapes stand in the docstring of what takes or returns the array."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

AnyFloat = npt.NDArray[np.floating]
Bool = npt.NDArray[np.bool_]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]
UInt64 = npt.NDArray[np.uint64]
