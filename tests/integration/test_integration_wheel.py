"""The wheel, installed outside the tree, holds everything it needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from omnireid.inference.options import DEFAULT_MODEL
from omnireid.models.shipped import list_shipped

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_holds_recipes_templates_and_the_type_marker_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    package = [name for name in names if not name.split("/")[0].endswith(".dist-info")]
    assert {name.split("/")[0] for name in package} == {"omnireid"}
    assert "omnireid/py.typed" in names
    assert "omnireid/recipes/quickstart.yaml" in names
    assert any(name.startswith("omnireid/report/templates/") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/NOTICE") for name in names)
    # Of a network that ships, all three files; of weights, nothing else.
    shipped = {f"omnireid/weights/{name}" for name in list_shipped()}
    assert {f"{name}{end}" for name in shipped for end in (".yaml", ".safetensors.calibration.json")} <= set(
        names
    )
    detector = "omnireid/weights/nanodet_g_416"
    assert f"{detector}.card.md" in names
    binary = (".pyc", ".jpg", ".onnx", ".safetensors")
    expected = {f"{name}.safetensors" for name in shipped} | {f"{detector}.onnx"}
    assert {name for name in package if name.endswith(binary)} == expected


def test_the_base_install_asks_for_no_torch(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (path,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = archive.read(path).decode()
    base = [
        line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line
    ]
    assert len(base) > 5
    assert not [line for line in base if "torch" in line or "lightning" in line or "opencv" in line]


@pytest.mark.slow
def test_the_installed_wheel_works_outside_the_tree(wheel: Path, tmp_path: Path, toy_root: Path) -> None:
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", str(site), str(wheel)], check=True, capture_output=True)
    # What is compiled already: it is kept by the content of the sources. `.ci/check_wheel.sh` compiles.
    for file in (ROOT / "src").rglob("__pycache__/*.nb?"):
        shutil.copy(file, site / file.relative_to(ROOT / "src"))
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def omnireid(*arguments: str) -> str:
        command = [sys.executable, "-m", "omnireid", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = subprocess.run(
        [sys.executable, "-c", "import omnireid; print(omnireid.__file__)"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(site)
    assert "quickstart" in omnireid("recipes", "list")
    tiny = ["--set", "epochs=1", "--set", "sampler.batch_size=12", "--set", "input={height: 64, width: 32}"]
    source = ["--data", "market-layout", "--root", str(toy_root)]
    output = omnireid("run", *source, "--out", "run", *tiny)
    assert "rank-1" in output
    assert (tmp_path / "run" / "report.html").is_file()
    if DEFAULT_MODEL in list_shipped():
        assert DEFAULT_MODEL in omnireid("embed", str(toy_root / "query"), "--out", "query.npz")
