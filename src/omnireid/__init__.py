"""OmniReID: person re-identification built on OSNet, from training to a searchable answer.

Importing this package loads neither torch nor ONNX Runtime; import the part you need
(`omnireid.models`, `omnireid.evaluation`, `omnireid.inference`, ...).
"""

__version__ = "0.1.0"
