"""OmniReID: person re-identification built on OSNet, from training to a searchable answer.

```python
import omnireid

embedder = omnireid.Embedder.open("model.safetensors")
```

The names below are what users need. Each is imported when it is first asked for, so importing this package
loads nothing else; what is not among them is imported from its module (`omnireid.evaluation.bootstrap`, ...).
"""

from __future__ import annotations

# As `typing` has it, which would double what importing this package costs.
TYPE_CHECKING = False

if TYPE_CHECKING:  # for type checkers and editors; a test holds this list and the next one alike
    from typing import Any

    from omnireid.core.card import InputSpec as InputSpec
    from omnireid.core.card import ModelCard as ModelCard
    from omnireid.core.card import ModelRef as ModelRef
    from omnireid.core.detection import Detections as Detections
    from omnireid.core.errors import OmniReIDError as OmniReIDError
    from omnireid.core.images import decode as decode
    from omnireid.core.options import Protocol as Protocol
    from omnireid.core.types import Dataset as Dataset
    from omnireid.core.types import Embeddings as Embeddings
    from omnireid.core.types import Sample as Sample
    from omnireid.data.combine import combine_all as combine_all
    from omnireid.data.combine import combine_sources as combine_sources
    from omnireid.data.combine import read_datasets as read_datasets
    from omnireid.data.datasets import dataset_card as dataset_card
    from omnireid.data.datasets import list_datasets as list_datasets
    from omnireid.data.datasets import read_dataset as read_dataset
    from omnireid.data.datasets import require_splits as require_splits
    from omnireid.data.loading import Reading as Reading
    from omnireid.data.options import FrameSampling as FrameSampling
    from omnireid.data.options import Sources as Sources
    from omnireid.data.validate import validate_dataset as validate_dataset
    from omnireid.evaluation.breakdown import breakdown as breakdown
    from omnireid.evaluation.calibration import Calibration as Calibration
    from omnireid.evaluation.calibration import fit_calibration as fit_calibration
    from omnireid.evaluation.clusters import Clustering as Clustering
    from omnireid.evaluation.distance import distance_matrix as distance_matrix
    from omnireid.evaluation.open_set import open_set_metrics as open_set_metrics
    from omnireid.evaluation.options import CalibrationOptions as CalibrationOptions
    from omnireid.evaluation.options import QueryExpansion as QueryExpansion
    from omnireid.evaluation.options import Ranking as Ranking
    from omnireid.evaluation.options import Reranking as Reranking
    from omnireid.evaluation.ranking import evaluate_embeddings as evaluate_embeddings
    from omnireid.evaluation.ranking import rank_metrics as rank_metrics
    from omnireid.experiment.adaptation import Adaptation as Adaptation
    from omnireid.experiment.adaptation import adapt as adapt
    from omnireid.experiment.calibration import calibrate as calibrate
    from omnireid.experiment.comparison import compare as compare
    from omnireid.experiment.embedding import embed as embed
    from omnireid.experiment.measure import evaluate as evaluate
    from omnireid.experiment.options import Corruptions as Corruptions
    from omnireid.experiment.options import EvaluationOptions as EvaluationOptions
    from omnireid.experiment.options import Gates as Gates
    from omnireid.experiment.run import run as run
    from omnireid.experiment.searching import search_architecture as search_architecture
    from omnireid.experiment.training import train as train
    from omnireid.experiment.verification import verify as verify
    from omnireid.gallery.gallery import Gallery as Gallery
    from omnireid.gallery.items import Box as Box
    from omnireid.gallery.items import Filter as Filter
    from omnireid.gallery.items import Item as Item
    from omnireid.gallery.questions import Question as Question
    from omnireid.inference.embedder import Embedder as Embedder
    from omnireid.inference.export.exporter import export_model as export_model
    from omnireid.inference.options import Engine as Engine
    from omnireid.inference.options import ExportForm as ExportForm
    from omnireid.inference.sources import collect_samples as collect_samples
    from omnireid.inference.storage import EmbeddingWriter as EmbeddingWriter
    from omnireid.inference.storage import read_embeddings as read_embeddings
    from omnireid.inference.storage import write_embeddings as write_embeddings
    from omnireid.inference.tracklets import embed_tracklets as embed_tracklets
    from omnireid.models.cards import list_models as list_models
    from omnireid.models.cards import model_card as model_card
    from omnireid.models.classifier import IdentityClassifier as IdentityClassifier
    from omnireid.models.complexity import complexity as complexity
    from omnireid.models.convert import convert_checkpoint as convert_checkpoint
    from omnireid.models.registry import build_model as build_model
    from omnireid.models.weights import initialise_from as initialise_from
    from omnireid.models.weights import load_weights as load_weights
    from omnireid.models.weights import save_weights as save_weights
    from omnireid.robustness.corruptions import corrupt as corrupt
    from omnireid.robustness.draw import corrupt_sample as corrupt_sample
    from omnireid.robustness.suite import CORRUPTIONS as CORRUPTIONS
    from omnireid.server.client import Client as Client
    from omnireid.synthetic.dataset import render_dataset as render_dataset
    from omnireid.synthetic.options import RenderOptions as RenderOptions
    from omnireid.training.options import RunOptions as RunOptions
    from omnireid.training.recipe import Recipe as Recipe
    from omnireid.training.recipe import load_recipe as load_recipe
    from omnireid.video.options import TrackOptions as TrackOptions
    from omnireid.video.track import track as track

__version__ = "0.3.0"

_NAMES = {
    "core.card": "InputSpec ModelCard ModelRef",
    "core.detection": "Detections",
    "core.errors": "OmniReIDError",
    "core.images": "decode",
    "core.options": "Protocol",
    "core.types": "Dataset Embeddings Sample",
    "data.combine": "combine_all combine_sources read_datasets",
    "data.datasets": "dataset_card list_datasets read_dataset require_splits",
    "data.loading": "Reading",
    "data.options": "FrameSampling Sources",
    "data.validate": "validate_dataset",
    "evaluation.breakdown": "breakdown",
    "evaluation.calibration": "Calibration fit_calibration",
    "evaluation.clusters": "Clustering",
    "evaluation.distance": "distance_matrix",
    "evaluation.open_set": "open_set_metrics",
    "evaluation.options": "CalibrationOptions QueryExpansion Ranking Reranking",
    "evaluation.ranking": "evaluate_embeddings rank_metrics",
    "experiment.adaptation": "Adaptation adapt",
    "experiment.calibration": "calibrate",
    "experiment.comparison": "compare",
    "experiment.embedding": "embed",
    "experiment.measure": "evaluate",
    "experiment.options": "Corruptions EvaluationOptions Gates",
    "experiment.run": "run",
    "experiment.searching": "search_architecture",
    "experiment.training": "train",
    "experiment.verification": "verify",
    "gallery.gallery": "Gallery",
    "gallery.items": "Box Filter Item",
    "gallery.questions": "Question",
    "inference.embedder": "Embedder",
    "inference.export.exporter": "export_model",
    "inference.options": "Engine ExportForm",
    "inference.sources": "collect_samples",
    "inference.storage": "EmbeddingWriter read_embeddings write_embeddings",
    "inference.tracklets": "embed_tracklets",
    "models.cards": "list_models model_card",
    "models.classifier": "IdentityClassifier",
    "models.complexity": "complexity",
    "models.convert": "convert_checkpoint",
    "models.registry": "build_model",
    "models.weights": "initialise_from load_weights save_weights",
    "robustness.corruptions": "corrupt",
    "robustness.draw": "corrupt_sample",
    "robustness.suite": "CORRUPTIONS",
    "server.client": "Client",
    "synthetic.dataset": "render_dataset",
    "synthetic.options": "RenderOptions",
    "training.options": "RunOptions",
    "training.recipe": "Recipe load_recipe",
    "video.options": "TrackOptions",
    "video.track": "track",
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    with import_module(f"{__name__}.core.extras").saying_the_extra():
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
