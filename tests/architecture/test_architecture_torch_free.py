"""The base install carries no torch, and what it offers works without it."""

from __future__ import annotations

import importlib.util
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import omnireid

BLOCK_TORCH = """
import sys

EXTRAS = {"torch", "lightning_fabric", "tensorboard", "kornia", "onnx", "openvino", "triton", "cv2"}
EXTRAS |= {"pymilvus", "matplotlib"}

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in EXTRAS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""

# What the extra [train] is for; `robustness` and `synthetic` need OpenCV from their extras.
NEED_AN_EXTRA = (
    "omnireid.experiment.adaptation",
    "omnireid.experiment.demo",
    "omnireid.data.stats_figure",
    "omnireid.experiment.rendered",
    "omnireid.experiment.reproduction",
    "omnireid.models.osnet",
    "omnireid.models.choice",
    "omnireid.models.batch_norms",
    "omnireid.models.classifier",
    "omnireid.models.complexity",
    "omnireid.models.convert",
    "omnireid.models.fusion",
    "omnireid.models.onnx_import",
    "omnireid.models.onnx_walk",
    "omnireid.models.neck",
    "omnireid.models.network",
    "omnireid.models.resnet",
    "omnireid.models.state_dict",
    "omnireid.models.weights",
    "omnireid.losses.attributes",
    "omnireid.losses.centre",
    "omnireid.losses.circle",
    "omnireid.losses.consistency",
    "omnireid.losses.cosine",
    "omnireid.losses.cross_entropy",
    "omnireid.losses.pairs",
    "omnireid.losses.teaching",
    "omnireid.losses.triplet",
    "omnireid.data.appearance",
    "omnireid.data.augmentation",
    "omnireid.data.augmix",
    "omnireid.data.erasing",
    "omnireid.data.patch_pool",
    "omnireid.inference.backends.gpu",
    "omnireid.inference.backends.torch_eager",
    "omnireid.inference.backends.torchscript",
    "omnireid.inference.export.deployed",
    "omnireid.inference.export.executorch",
    "omnireid.inference.export.exporter",
    "omnireid.inference.export.half",
    "omnireid.inference.export.native",
    "omnireid.inference.export.onnx",
    "omnireid.inference.export.torchscript",
    "omnireid.inference.fused.gpu",
    "omnireid.inference.fused.gpu_plain",
    "omnireid.inference.fused.graph",
    "omnireid.inference.fused.module",
    "omnireid.inference.fused.triton_kernels",
    "omnireid.inference.fused.triton_plan",
    "omnireid.inference.fused.triton_tiles",
    "omnireid.inference.fused.triton_weights",
    "omnireid.training.fused.block",
    "omnireid.training.fused.layers",
    "omnireid.training.fused.network",
    "omnireid.training.fused.plan",
    "omnireid.training.fused.stem",
    "omnireid.training.history",
    "omnireid.training.learner",
    "omnireid.training.loop",
    "omnireid.training.checkpoint",
    "omnireid.training.averaging",
    "omnireid.training.optimisers",
    "omnireid.training.parts",
    "omnireid.training.sanity",
    "omnireid.training.together",
    "omnireid.experiment.gates",
    "omnireid.experiment.searching",
    "omnireid.experiment.sharing",
    "omnireid.experiment.teaching",
    "omnireid.experiment.training",
    "omnireid.experiment.run",
    "omnireid.robustness.blur",
    "omnireid.robustness.digital",
    "omnireid.robustness.extras",
    "omnireid.robustness.filters",
    "omnireid.robustness.frost",
    "omnireid.robustness.noise",
    "omnireid.robustness.weather",
    "omnireid.synthetic",
    "omnireid.__main__",
)


def run_without_torch(code: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", BLOCK_TORCH + code], capture_output=True, text=True, cwd=cwd)


def torch_free_modules() -> list[str]:
    found = [module.name for module in pkgutil.walk_packages(omnireid.__path__, "omnireid.")]
    return [
        name
        for name in found
        if not any(name == needs or name.startswith(f"{needs}.") for needs in NEED_AN_EXTRA)
    ]


def test_every_part_that_needs_no_torch_imports_without_it_and_prints_nothing() -> None:
    modules = torch_free_modules()
    assert len(modules) > 40
    done = run_without_torch(
        "import importlib\n" + "".join(f"importlib.import_module({m!r})\n" for m in modules)
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr == ""


def test_the_block_blocks() -> None:
    assert run_without_torch("import torch").returncode != 0


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        (
            "omnireid",
            ("torch", "onnxruntime", "pyarrow", "matplotlib", "numpy", "pydantic", "omnireid.core"),
        ),
        (
            "omnireid.cli.app",
            ("torch", "onnxruntime", "pyarrow", "matplotlib", "lancedb", "fastapi", "numpy", "pydantic"),
        ),
        ("omnireid.evaluation.ranking", ("torch", "onnxruntime", "pyarrow", "matplotlib", "numba")),
    ],
)
def test_importing_is_light(module: str, heavy: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(*[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_training_without_its_extra_says_what_to_install(tmp_path: Path, toy_root: Path) -> None:
    arguments = ["train", "--data", "market-layout", "--root", str(toy_root), "--recipe", "quickstart"]
    code = f"sys.argv = ['omnireid', *{[*arguments, '--out', str(tmp_path / 'run')]!r}]\n"
    done = run_without_torch(code + "from omnireid.cli.app import main\nmain()")
    assert done.returncode == 2
    assert "pip install 'omnireid[train]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="exporting a network needs torch")
def test_embedding_and_evaluating_an_onnx_file_need_no_torch(tmp_path: Path, toy_root: Path) -> None:
    from omnireid.core.card import InputSpec
    from omnireid.inference.export.exporter import export_onnx
    from omnireid.models.cards import model_card
    from omnireid.models.registry import build_model

    card = model_card("osnet_x0_25").model_copy(update={"input": InputSpec(height=64, width=32)})
    export_onnx(build_model("osnet_x0_25"), card, tmp_path / "model.onnx")
    for arguments in (
        ["embed", str(toy_root / "query"), "--model", "model.onnx", "--out", "query.parquet"],
        [
            "evaluate",
            "--model",
            "model.onnx",
            "--data",
            "market-layout",
            "--root",
            str(toy_root),
            "--out",
            "out",
        ],
        ["data", "validate", "market-layout", "--root", str(toy_root)],
        ["models", "show", "model.onnx"],
        ["models", "list"],
        ["recipes", "list"],
    ):
        code = f"sys.argv = ['omnireid', *{arguments!r}]\nfrom omnireid.cli.app import main\nmain()"
        done = run_without_torch(code, cwd=tmp_path)
        assert done.returncode == 0, (arguments, done.stderr)
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    assert (tmp_path / "query.parquet").is_file()
