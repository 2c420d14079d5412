"""What `import omnireid` offers: this list, each name with a docstring, and as type checkers see it."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import omnireid

# A name that joins or goes is a decision; it is written here, and in CHANGELOG.md.
NAMES = """
adapt Adaptation Box breakdown build_model calibrate Calibration CalibrationOptions Client Clustering
collect_samples combine_all combine_sources compare complexity convert_checkpoint corrupt corrupt_sample
Corruptions
CORRUPTIONS Dataset dataset_card decode Detections distance_matrix embed embed_tracklets Embedder
Embeddings EmbeddingWriter Engine evaluate evaluate_embeddings EvaluationOptions export_model
ExportForm Filter fit_calibration FrameSampling Gallery Gates IdentityClassifier initialise_from InputSpec
Item list_datasets list_models load_recipe load_weights model_card ModelCard ModelRef OmniReIDError
open_set_metrics Protocol QueryExpansion Question rank_metrics Ranking read_dataset read_datasets
read_embeddings Reading Recipe render_dataset RenderOptions require_splits Reranking run RunOptions
Sample save_weights search_architecture Sources track TrackOptions train validate_dataset verify
write_embeddings
""".split()  # noqa: SIM905 (a list that is read and changed by people)
ROOT = Path(omnireid.__file__).parents[2]


def test_the_front_door_offers_exactly_these_names() -> None:
    assert sorted(omnireid.__all__) == sorted(["__version__", *NAMES])
    assert set(omnireid.__all__) <= set(dir(omnireid))


def test_every_name_is_there_and_has_a_docstring() -> None:
    for name in NAMES:
        value = getattr(omnireid, name)
        if inspect.isclass(value) or callable(value):
            assert (value.__doc__ or "").strip(), name


def test_type_checkers_see_the_same_names_from_the_same_modules() -> None:
    imports = [
        node
        for node in ast.walk(ast.parse(Path(omnireid.__file__).read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("omnireid.")
    ]
    seen = {alias.asname: f"{node.module}.{alias.name}" for node in imports for alias in node.names}
    assert seen == {name: f"omnireid.{module}.{name}" for name, module in omnireid._HOMES.items()}


def test_no_name_is_hidden_by_a_module() -> None:
    folder = Path(omnireid.__file__).parent
    assert not {name for name in NAMES if (folder / name).is_dir() or (folder / f"{name}.py").is_file()}


def test_readme_imports_nothing_but_the_front_door() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert [line for line in lines if line.startswith(("from omnireid.", "import omnireid."))] == []


# Nobody holds more in mind at a call; options that travel together are one value (Ranking, RunOptions).
MOST_PARAMETERS = 8
# What the command line offers is a command's parameters, and what a compiler takes is numbers and arrays.
COMPILED = {"compiled", "triton.jit"}


def test_no_function_takes_more_parameters_than_a_reader_holds_in_mind() -> None:
    package = ROOT / "src" / "omnireid"
    too_many = {}
    for path in sorted(package.rglob("*.py")):
        if path.parent == package / "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            count = len([argument for argument in named if argument.arg not in ("self", "cls")])
            is_compiled = {ast.unparse(decorator) for decorator in node.decorator_list} & COMPILED
            if count > MOST_PARAMETERS and not is_compiled:
                too_many[f"{path.relative_to(package)}: {node.name}"] = count
    assert too_many == {}
