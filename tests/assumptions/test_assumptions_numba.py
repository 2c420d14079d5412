"""What we assume of numba's cache, which it documents as a matter of its own."""

from __future__ import annotations

from pathlib import Path

import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile


def twice(number: int) -> int:
    return 2 * number


def test_a_dispatcher_keeps_what_its_cache_gives_it() -> None:
    """`core.compiled._keep` replaces `_cache` of a dispatcher."""
    dispatcher = numba.njit(twice)
    assert hasattr(dispatcher, "_cache")
    assert {"load_overload", "save_overload"} <= set(dir(dispatcher._cache))


def test_the_cache_of_a_function_has_its_file(tmp_path: Path, monkeypatch) -> None:
    """`core.compiled._Kept` takes stamp and names from `_cache_file`, and puts a checked one in its place."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    cache = FunctionCache(twice)
    file = cache._cache_file
    assert isinstance(file, IndexDataCacheFile)
    assert file._index_name.endswith(".nbi")
    assert Path(file._cache_path).is_relative_to(tmp_path)
    assert callable(cache.flush)


def test_where_code_is_kept_is_a_list_of_locators() -> None:
    """`core.compiled._CacheImpl` puts locators of its own before and after numba's."""
    for locator in CompileResultCacheImpl._locator_classes:
        assert {"from_function", "get_cache_path"} <= set(dir(locator))


def test_the_steps_of_a_cache_file_are_methods() -> None:
    """`core.compiled._CheckedFile` overrides how data are written and read, and uses the three others."""
    names = {"_save_data", "_load_data", "_dump", "_open_for_write", "_data_path"}
    assert names <= set(dir(IndexDataCacheFile))


def test_the_index_of_a_cache_begins_with_its_stamp() -> None:
    """`core.compiled` hands its own stamp of a whole folder to `IndexDataCacheFile(path, name, stamp)`."""
    parameters = IndexDataCacheFile.__init__.__code__.co_varnames[:4]
    assert parameters == ("self", "cache_path", "filename_base", "source_stamp")
