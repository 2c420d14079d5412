"""One variable of a MATLAB file, or an error that says what was there instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import Int64
from omnireid.core.errors import DatasetError


def read_mat(path: Path, variable: str) -> npt.NDArray[Any]:
    """Read `variable` of a MATLAB file up to version 7.2. Version 7.3 is HDF5, which needs h5py instead.

    Raises:
        DatasetError: missing, damaged, of version 7.3, or without that variable; names those it has.
    """
    from scipy.io import loadmat, whosmat

    try:
        content = loadmat(path, appendmat=False, variable_names=[variable])
        known = ", ".join(name for name, *_ in whosmat(path, appendmat=False))
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: no such file; it belongs to the dataset") from error
    except NotImplementedError as error:
        raise DatasetError(
            f"{path}: saved in MATLAB's version 7.3 (HDF5), but the benchmark's own file is older; "
            "fetch that one again"
        ) from error
    except Exception as error:  # SciPy raises many types on damaged files.
        raise DatasetError(
            f"{path}: damaged, or no MATLAB file ({error or type(error).__name__}); "
            "unpack or download it again"
        ) from error
    if variable not in content:
        raise DatasetError(f"{path}: no variable {variable!r}; it has: {known or 'none'}")
    return np.asarray(content[variable])


def read_integers(path: Path, variable: str) -> Int64:
    """`read_mat` for a variable that holds whole numbers, in whatever type MATLAB saved them.

    Raises:
        DatasetError: as `read_mat`, or anything else than whole numbers.
    """
    values = read_mat(path, variable)
    if values.dtype.kind in "iuf":
        with np.errstate(invalid="ignore"):
            numbers = values.astype(np.int64)
        if np.array_equal(numbers, values):
            return numbers
    raise DatasetError(f"{path}: {variable} holds something else than whole numbers; fetch the file again")
