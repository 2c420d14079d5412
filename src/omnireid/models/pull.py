"""Fetching published weights from the Hugging Face Hub, pinned to a commit and a hash. Imports no torch."""

from __future__ import annotations

import re
from pathlib import Path

from omnireid.core.errors import InputError, UnknownNameError, WeightsError
from omnireid.core.files import sha256_file
from omnireid.models.cards import hub_file, list_architectures, list_models, model_card
from omnireid.models.family import HubFile

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ADDRESS = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)/(?P<filename>[^\s]+)")
_TIMEOUT_S = 10.0


def pull(
    name: str,
    *,
    revision: str | None = None,
    sha256: str | None = None,
    cache_dir: str | Path | None = None,
    endpoint: str | None = None,
    offline: bool = False,
) -> Path:
    """Fetch a file of weights, or find it in the cache, and verify it.

    No account or token is used, and the file is not read, only hashed; `omnireid.models.convert` reads it.

    Args:
        name: a card's name, e.g. "osnet_x0_25_msmt17_combineall", or "owner/repository/path/of/file.pth".
        revision: full commit hash; the card's when None.
        sha256: hash of the file; the card's when None.
        cache_dir: the Hub's usual cache when None.
        endpoint: address of the Hub; https://huggingface.co when None.
        offline: look into the cache only.

    Returns:
        The verified file in the cache.

    Raises:
        InputError: no pin is known and none was given, or it is no full commit hash or SHA-256.
        UnknownNameError: no such card; names the nearest.
        WeightsError: not on the Hub, no network and not in the cache, or the file has another hash (it is
            removed). Says what to do.
    """
    file, wanted = _pinned(name, revision, sha256)
    cached = _cached(file, cache_dir)
    if cached is not None:
        if sha256_file(cached) == wanted:
            return cached
        _discard(cached)
    if offline:
        raise WeightsError(f"{name}: not in the cache. {_by_hand(file, endpoint)}")

    path = _download(file, cache_dir, endpoint)
    actual = sha256_file(path)
    if actual != wanted:
        _discard(path)
        raise WeightsError(
            f"{file.filename}: the downloaded file has SHA-256 {actual}, expected {wanted}. It was removed. "
            "Either the address serves another file, or the hash is mistyped; do not use it before you know."
        )
    return path


def _pinned(name: str, revision: str | None, sha256: str | None) -> tuple[HubFile, str]:
    """The file with the commit and hash to hold it to."""
    file = _named(name)
    revision, sha256 = revision or file.revision, (sha256 or file.sha256 or "").lower()
    unknown = [option for option, value in (("revision", revision), ("sha256", sha256)) if not value]
    if unknown:
        raise InputError(
            f"{name}: no known {' and '.join(unknown)}. State --{' and --'.join(unknown)}, "
            f"as shown at https://huggingface.co/{file.repo} for {file.filename}"
        )
    if not _COMMIT.fullmatch(revision):
        raise InputError(f"revision: a full commit hash (40 hexadecimal digits) expected, got {revision!r}")
    if not _SHA256.fullmatch(sha256):
        raise InputError(f"sha256: 64 hexadecimal digits expected, got {sha256!r}")
    return HubFile(file.repo, file.filename, revision, sha256), sha256


def _named(name: str) -> HubFile:
    file = hub_file(name)
    if file is not None:
        return file
    if name in list_architectures():
        weights = [model for model in list_models() if model.startswith(f"{name}_") and hub_file(model)]
        hint = f" Published weights: {', '.join(weights)}" if weights else ""
        raise WeightsError(f"{name} is an architecture, it has no weights to fetch.{hint}")
    if name in list_models():
        raise WeightsError(
            f"{name} is not on the Hugging Face Hub. Download {model_card(name).origin} with a browser, "
            "then run: omnireid models convert FILE --out MODEL.safetensors"
        )
    address = _ADDRESS.fullmatch(name)
    if address is None:
        raise UnknownNameError("model", name, [model for model in list_models() if hub_file(model)])
    return HubFile(repo=address["repo"], filename=address["filename"], revision="", sha256=None)


def _cached(file: HubFile, cache_dir: str | Path | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(file.repo, file.filename, cache_dir=cache_dir, revision=file.revision)
    return Path(path) if isinstance(path, str) else None


def _download(file: HubFile, cache_dir: str | Path | None, endpoint: str | None) -> Path:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        # Asked first because it answers at once where there is no network; hf_hub_download tries for long.
        url = hf_hub_url(file.repo, file.filename, revision=file.revision, endpoint=endpoint)
        get_hf_file_metadata(url, timeout=_TIMEOUT_S, endpoint=endpoint, token=False)
        path = hf_hub_download(
            file.repo,
            file.filename,
            revision=file.revision,
            cache_dir=cache_dir,
            endpoint=endpoint,
            token=False,
        )
    except RevisionNotFoundError as error:
        raise WeightsError(f"{file.repo} has no commit {file.revision} on the Hub") from error
    except EntryNotFoundError as error:
        raise WeightsError(f"{file.repo} has no file {file.filename} in commit {file.revision}") from error
    except RepositoryNotFoundError as error:
        raise WeightsError(f"{file.repo}: no such public repository on the Hub") from error
    except (
        Exception
    ) as error:  # the HTTP client behind huggingface_hub, and so its errors, differ by version.
        raise WeightsError(f"cannot fetch {file.filename}: {error}. {_by_hand(file, endpoint)}") from error
    return Path(str(path))


def _by_hand(file: HubFile, endpoint: str | None) -> str:
    from huggingface_hub import hf_hub_url

    url = hf_hub_url(file.repo, file.filename, revision=file.revision, endpoint=endpoint)
    return (
        f"Without a network here: download {url} on another machine, copy the file here and run: "
        "omnireid models convert FILE --out MODEL.safetensors. "
        "Or copy that machine's cache folder and name it with --cache-dir."
    )


def _discard(path: Path) -> None:
    """Remove a cached file and the blob that it points to."""
    blob = path.resolve()
    path.unlink(missing_ok=True)
    blob.unlink(missing_ok=True)
