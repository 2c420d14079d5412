"""Training losses. Needs torch."""

from omnireid.losses.consistency import jensen_shannon
from omnireid.losses.cross_entropy import CrossEntropyLabelSmooth
from omnireid.losses.triplet import HardTripletLoss

__all__ = ["CrossEntropyLabelSmooth", "HardTripletLoss", "jensen_shannon"]
