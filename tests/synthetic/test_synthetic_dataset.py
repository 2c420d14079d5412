"""The dataset on disk: same seed, same bytes; the layout; interruptions."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from omnireid import read_dataset
from omnireid.core.errors import DatasetError, InputError, StorageError
from omnireid.core.types import Dataset
from omnireid.synthetic import dataset as rendering
from omnireid.synthetic.dataset import render_dataset
from omnireid.synthetic.options import RenderOptions

# Written from the description of Market-1501, not from the renderer's code.
NAME = re.compile(r"^(-1|\d{4,})_c([1-9])s1_\d{6}_\d{2,}\.jpg$")


def digests(root: str | Path) -> dict[str, str]:
    folder = Path(root)
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def run_python(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE)


RENDER = """
import json, sys
from omnireid import RenderOptions, render_dataset
if __name__ == "__main__":
    render_dataset(sys.argv[1], RenderOptions(**json.loads(sys.argv[3])), workers=int(sys.argv[2]))
"""


def test_same_seed_gives_same_bytes_in_a_fresh_process_with_two_workers(
    small_dataset: Dataset, small_options: dict[str, int], tmp_path: Path
) -> None:
    script = tmp_path / "render.py"
    script.write_text(RENDER)
    arguments = [str(tmp_path / "again"), "2", json.dumps(small_options)]
    subprocess.run([sys.executable, str(script), *arguments], check=True)
    assert digests(tmp_path / "again") == digests(small_dataset.root)


def test_chunking_does_not_change_a_byte(
    small_dataset: Dataset, small_options: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "_CHUNK", 1)
    render_dataset(tmp_path, RenderOptions(**small_options), workers=1)
    assert digests(tmp_path) == digests(small_dataset.root)


def test_another_seed_gives_other_pictures(
    small_dataset: Dataset, small_options: dict[str, int], tmp_path: Path
) -> None:
    render_dataset(tmp_path, RenderOptions(**{**small_options, "seed": small_options["seed"] + 1}), workers=1)
    assert not set(digests(tmp_path).values()) & set(digests(small_dataset.root).values())


def test_a_larger_dataset_holds_the_same_training_pictures(
    small_dataset: Dataset, small_options: dict[str, int], tmp_path: Path
) -> None:
    options = {**small_options, "num_test_pids": 5, "crops_per_camera": 3, "num_junk": 0}
    larger = digests(render_dataset(tmp_path, RenderOptions(**options), workers=1).root)
    for name, digest in digests(small_dataset.root).items():
        if name.startswith("bounding_box_train"):
            assert larger[name] == digest


def test_layout_and_counts(small_dataset: Dataset, small_options: dict[str, int]) -> None:
    root = Path(small_dataset.root)
    counts: Counter[tuple[str, int]] = Counter()
    cameras: dict[str, set[int]] = {}
    for path in root.glob("*/*"):
        match = NAME.match(path.name)
        assert match, path.name
        pid = int(match[1])
        counts[path.parent.name, min(pid, 1)] += 1
        cameras.setdefault(path.parent.name, set()).add(int(match[2]))
    assert counts == {
        ("bounding_box_train", 1): 3 * 3 * 2,
        ("query", 1): 4 * 3,
        ("bounding_box_test", 1): 4 * 3,
        ("bounding_box_test", 0): 5,
        ("bounding_box_test", -1): 4,
    }
    assert cameras["query"] == {1, 2, 3}
    card = json.loads((root / "card.json").read_text())
    assert card["options"] == small_options
    assert card["splits"]["gallery"] == {"images": 21, "pids": 4, "distractors": 5, "junk": 4}
    assert "No real person" in card["people"]


def test_reader_finds_what_the_renderer_returns(small_dataset: Dataset) -> None:
    read = read_dataset("market-layout", small_dataset.root)
    for mine, theirs in zip(small_dataset.splits, read.splits, strict=True):
        assert mine.samples == theirs.samples
    assert not set(small_dataset.train.pids) & set(small_dataset.query.pids)


def test_whole_dataset_is_left_alone(small_options: dict[str, int], tmp_path: Path) -> None:
    first = render_dataset(tmp_path, RenderOptions(**small_options), workers=1)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert render_dataset(tmp_path, RenderOptions(**small_options), workers=1) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == stamps


def test_killed_run_is_completed_to_the_same_bytes(
    small_dataset: Dataset, small_options: dict[str, int], tmp_path: Path
) -> None:
    process = run_python(RENDER, str(tmp_path), "1", json.dumps(small_options))
    deadline = time.monotonic() + 30
    while len(list(tmp_path.glob("*/*.jpg"))) < 8:
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    pictures = sorted(tmp_path.glob("*/*.jpg"))
    assert not (tmp_path / "card.json").exists(), "the card must be written last"
    assert len(pictures) < len(digests(small_dataset.root)) - 1
    # What a power cut may add: an empty picture, half a picture, and a file that was being written.
    pictures[0].write_bytes(b"")
    pictures[1].write_bytes(pictures[1].read_bytes()[:100])
    (pictures[2].parent / f".{pictures[2].name}.x7.tmp").write_bytes(b"half")
    render_dataset(tmp_path, RenderOptions(**small_options), workers=1)
    assert digests(tmp_path) == digests(small_dataset.root)


def test_full_disk_is_named_and_the_run_can_be_completed(
    small_dataset: Dataset, small_options: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, written = Path.replace, []

    def full_after_ten(self: Path, target: Path) -> Path:
        written.append(target)
        if len(written) > 10:
            raise OSError(28, os.strerror(28))
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full_after_ten)
        with pytest.raises(StorageError, match="disk is full"):
            render_dataset(tmp_path, RenderOptions(**small_options), workers=1)
    assert not (tmp_path / "card.json").exists()
    render_dataset(tmp_path, RenderOptions(**small_options), workers=1)
    assert digests(tmp_path) == digests(small_dataset.root)


def test_other_options_in_the_same_folder_are_refused(
    small_dataset: Dataset, small_options: dict[str, int]
) -> None:
    before = digests(small_dataset.root)
    with pytest.raises(DatasetError, match="crops_per_camera 2, not 3"):
        render_dataset(
            small_dataset.root, RenderOptions(**{**small_options, "crops_per_camera": 3}), workers=1
        )
    assert digests(small_dataset.root) == before


def test_foreign_folder_is_refused(small_options: dict[str, int], tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DatasetError, match="not empty"):
        render_dataset(tmp_path, RenderOptions(**small_options), workers=1)
    assert digests(tmp_path).keys() == {"thesis.txt"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_cameras", 1),
        ("num_cameras", 10),
        ("crops_per_camera", 1),
        ("num_test_pids", -1),
        ("height", 8),
        ("workers", 0),
    ],
)
def test_options_out_of_range(small_options: dict[str, int], tmp_path: Path, name: str, value: int) -> None:
    options = {"workers": 1, **small_options, name: value}
    workers = options.pop("workers")
    with pytest.raises(InputError, match=name):
        render_dataset(tmp_path / "new", RenderOptions(**options), workers=workers)
    assert not (tmp_path / "new").exists()


def test_nothing_to_render(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to render"):
        render_dataset(tmp_path / "new", RenderOptions(num_train_pids=0, num_test_pids=0))


def test_dead_worker_is_explained(small_options: dict[str, int], tmp_path: Path) -> None:
    # No `if __name__ == "__main__"`: the new processes run the script again and give up.
    script = tmp_path / "careless.py"
    script.write_text(
        "import json, sys\nfrom omnireid import RenderOptions, render_dataset\n"
        "render_dataset(sys.argv[1], RenderOptions(**json.loads(sys.argv[2])), workers=2)\n"
    )
    options = {**small_options, "crops_per_camera": 6}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "new"), json.dumps(options)],
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "use workers=1" in done.stderr


def test_missing_opencv_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['cv2'] = None\n"
        "import omnireid\n"
        "try:\n    omnireid.render_dataset\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'omnireid[synth]'" in done.stdout


def test_torch_is_not_imported() -> None:
    code = (
        "import sys, omnireid.synthetic.dataset, omnireid.synthetic.visits; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
