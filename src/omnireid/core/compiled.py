"""numba with the settings that all compiled loops share. Import it inside functions: it takes half a second.

Compiled code is kept in `NUMBA_CACHE_DIR`, beside the sources or, where these cannot be written, in the
user's cache folder. What is wrong there (no folder, no room, damage) costs a compilation, never the work.
Loops release the GIL, so that threads run them side by side. No fast-math: the order of floating-point
operations decides the last bit, ties must stay ties, and truncation to bytes shows it.
"""

from __future__ import annotations

import functools
import hashlib
import pickle
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import numba
from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    IndexDataCacheFile,
    InTreeCacheLocator,
    UserProvidedCacheLocator,
)

from omnireid.core.errors import OmniReIDWarning

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Compile a function when it is first called."""
    return _compiled(function)


def compiled_in_any_order(function: _Function) -> _Function:
    """As `compiled`, for sums whose last bits do not matter: terms may be added in any order."""
    return _compiled(function, fastmath={"reassoc"})


def inlined(function: _Function) -> _Function:
    """Compile a function as a part of those that call it: for the body of a hot loop."""
    compiled: Any = numba.njit(inline="always", nogil=True, error_model="numpy")(function)
    return cast(_Function, compiled)


def compiled_entry(signature: Any, function: Callable[..., Any]) -> Any:
    """Compile a function of one signature now, for callers that know it by its `address` only."""
    from numba.core.ccallback import CFunc
    from numba.core.sigutils import normalize_signature

    arguments = normalize_signature(signature)  # type: ignore[no-untyped-call]
    compiled = CFunc(function, arguments, locals={}, options={"error_model": "numpy"})
    _keep(compiled, function)
    compiled.compile()
    return compiled


def _compiled(function: _Function, **settings: Any) -> _Function:
    compiled: Any = numba.njit(nogil=True, error_model="numpy", **settings)(function)
    _keep(compiled, function)
    return cast(_Function, compiled)


def _keep(compiled: Any, function: Callable[..., Any]) -> None:
    """Have numba keep what it compiles of a function, where that can be."""
    try:
        cache = _FunctionCache(function)  # type: ignore[no-untyped-call]
    except RuntimeError:
        _warn_once("no folder can be written")
    else:
        compiled._cache = _Kept(cache, function)


class _FilledFolder(InTreeCacheLocator):
    """A folder that holds code already, though it may not be written to: filled when an image was built."""

    _kind: Any = InTreeCacheLocator

    @classmethod
    def from_function(cls, function: Any, file: str) -> Any:
        locator = cls._kind(function, file)
        return locator if _holds_code(locator.get_cache_path()) else None


class _FilledProvidedFolder(_FilledFolder):
    _kind = UserProvidedCacheLocator


@functools.cache
def _holds_code(folder: str) -> bool:
    return any(Path(folder).glob("*.nbi"))


class _CacheImpl(CompileResultCacheImpl):
    _locator_classes: ClassVar = [  # type: ignore[misc]
        UserProvidedCacheLocator,
        _FilledProvidedFolder,
        *CompileResultCacheImpl._locator_classes,
        _FilledFolder,
    ]


class _FunctionCache(FunctionCache):
    _impl_class = _CacheImpl


class _Kept:
    """numba's cache of one function, whose files may be missing, full or damaged.

    They depend on every module beside the function's, and beside those that its module imports from: numba
    looks at its own file only, and would go on using what it once inlined from another.
    """

    def __init__(self, cache: Any, function: Callable[..., Any]) -> None:
        self._cache = cache
        numbas = cache._cache_file
        stamp = _stamp(Path(function.__code__.co_filename))
        name = numbas._index_name.removesuffix(".nbi")
        cache._cache_file = _CheckedFile(numbas._cache_path, name, stamp)  # type: ignore[no-untyped-call]
        _folders.add(str(numbas._cache_path))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def load_overload(self, signature: Any, target: Any) -> Any:
        """What was kept; None where it has to be compiled."""
        try:
            return self._cache.load_overload(signature, target)
        except Exception:  # unpickling raises many types
            return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep it, in place of what is damaged."""
        try:
            try:
                self._cache.save_overload(signature, compiled)
            except OSError:
                raise
            except Exception:  # a damaged index
                self._cache.flush()
                self._cache.save_overload(signature, compiled)
        except OSError as error:
            _warn_once(f"{error.filename or self._cache.cache_path}: {error.strerror or error}")


class _CheckedFile(IndexDataCacheFile):
    """Files of compiled code that begin with its hash: power loss may leave zeros, and they would be run."""

    def _save_data(self: Any, name: str, data: Any) -> None:
        content = self._dump(data)
        with self._open_for_write(self._data_path(name)) as stream:
            stream.write(hashlib.sha256(content).digest() + content)

    def _load_data(self: Any, name: str) -> Any:
        content = Path(self._data_path(name)).read_bytes()
        digest, content = content[:32], content[32:]
        if hashlib.sha256(content).digest() != digest:
            raise ValueError(f"{name}: damaged")
        return pickle.loads(content)  # noqa: S301 (numba's own format)


_warned: list[str] = []
_folders: set[str] = set()


def why_not_kept() -> str | None:
    """Why something that this process has compiled was not kept; None where all was."""
    return _warned[0] if _warned else None


def kept_in() -> list[str]:
    """Folders of the compiled code of all modules that this process has imported."""
    return sorted(_folders)


def _warn_once(why: str) -> None:
    """Say it once in a process, not for each of a hundred functions."""
    if not _warned:
        _warned.append(why)
        text = f"compiled code cannot be kept ({why}); set NUMBA_CACHE_DIR"
        warnings.warn(text, OmniReIDWarning, stacklevel=2)


@functools.cache
def _stamp(file: Path) -> str:
    """Of a module's folder, and of the folders that its compiled functions are taken from."""
    package = Path(__file__).parents[1]
    names = re.findall(r"^from omnireid\.(\w+(?:\.\w+)*) import", file.read_text("utf-8"), re.MULTILINE)
    parts = [package.joinpath(*name.split(".")).parent for name in names if not name.startswith("core.")]
    return "".join(map(_folder_hash, dict.fromkeys([file.parent, *sorted(parts)])))


@functools.cache
def _folder_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
