"""The Python front with odd paths: an error of ours, or the system's that names the file; never a crash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omnireid import Embedder, collect_samples, read_embeddings
from omnireid.core.errors import ImageError, OmniReIDError
from omnireid.core.images import decode
from omnireid.core.record import ResultRecord
from omnireid.data.datasets import read_dataset
from omnireid.data.tracklets import read_tracklets
from omnireid.evaluation.calibration import Calibration
from omnireid.experiment.comparison import load_result
from omnireid.gallery.backup import Backup
from omnireid.gallery.restoring import read_tombstones
from omnireid.models.convert import convert_checkpoint
from omnireid.models.onnx_import import import_onnx
from omnireid.models.weights import load_weights
from omnireid.server.tokens import TokenFile
from omnireid.training.recipe import load_recipe

READERS: dict[str, Callable[[str], Any]] = {
    "picture": decode,
    "record": ResultRecord.load,
    "market-layout": lambda path: read_dataset("market-layout", path),
    "manifest": lambda path: read_dataset("manifest", path),
    "folder-per-person": lambda path: read_dataset("folder-per-person", path),
    "tracklets": read_tracklets,
    "calibration": lambda path: Calibration.load(path, "0" * 64),
    "result": load_result,
    "backup": Backup,
    "forgotten": read_tombstones,
    "model": Embedder.open,
    "pictures": collect_samples,
    "embeddings": read_embeddings,
    "checkpoint": convert_checkpoint,
    "onnx": import_onnx,
    "weights": load_weights,
    "tokens": lambda path: TokenFile(path).tokens(),
    "recipe": load_recipe,
}
PATHS = (
    "", " ", ".", "~nobody/x", "*", "[", "new\nline", "[red]x[/red]", "\udcff\udcfe", "\U0001d54f", "a" * 300,
    "a/" * 3000, "file", "file/x", "empty", "folder", "loop", "dangling", "missing/x.csv",
    "/dev/null", "-dash",
)  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_a_reader_names_what_it_cannot_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_bytes(bytes(range(256)))
    Path("empty").touch()
    Path("folder").mkdir()
    Path("loop").symlink_to("loop")
    Path("dangling").symlink_to("nowhere")
    for path in PATHS:
        try:
            READERS[name](path)
        except OmniReIDError:
            pass
        except OSError as error:
            if error.filename is None:
                raise


def test_a_name_with_a_zero_byte_is_no_picture() -> None:
    with pytest.raises(ImageError, match="null byte"):
        decode("a\0b")


def test_folders_of_links_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(OmniReIDError, match="loop"):
        read_dataset("market-layout", loop)
