"""Value types, errors, seeds, preprocessing and cards. Imports no torch."""

from omnireid.core.card import CardMetric, InputSpec, ModelCard
from omnireid.core.errors import OmniReIDError
from omnireid.core.images import decode, load_crop, normalise, resize
from omnireid.core.record import ResultRecord
from omnireid.core.seeds import derive_seed, numpy_generator
from omnireid.core.types import Dataset, EmbeddingSet, Protocol, Sample, SkippedFile, Split, label_map

__all__ = [
    "CardMetric",
    "Dataset",
    "EmbeddingSet",
    "InputSpec",
    "ModelCard",
    "OmniReIDError",
    "Protocol",
    "ResultRecord",
    "Sample",
    "SkippedFile",
    "Split",
    "decode",
    "derive_seed",
    "label_map",
    "load_crop",
    "normalise",
    "numpy_generator",
    "resize",
]
