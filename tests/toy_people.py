"""A dataset small enough to train on in a second: people are patches of colour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from omnireid.core.card import InputSpec, ModelCard


def write_toy_people(root: Path, *, num_train: int = 6, num_test: int = 3, per_camera: int = 3) -> Path:
    """Two cameras, `per_camera` pictures each of 16×32 pixels, in Market-1501 layout."""
    for pid in range(1, num_train + num_test + 1):
        colours = np.random.default_rng(pid).integers(0, 256, (4, 1, 3))
        for camera in (1, 2):
            for index in range(per_camera):
                noise = np.random.default_rng([pid, camera, index]).normal(0, 12, (32, 16, 3))
                pixels = np.clip(np.repeat(np.repeat(colours, 8, 0), 16, 1) + noise + 10 * camera, 0, 255)
                if pid <= num_train:
                    folder = "bounding_box_train"
                else:
                    folder = "query" if index == 0 else "bounding_box_test"
                path = root / folder / f"{pid:04d}_c{camera}s1_{index:06d}_00.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.astype(np.uint8)).save(path, quality=95)
    return root


def stripes_onnx(path: Path, scale: float) -> Path:
    """A network whose embedding is the mean colour of four stripes."""
    onnx = pytest.importorskip("onnx")
    make, floats = onnx.helper, onnx.TensorProto.FLOAT
    graph = make.make_graph(
        [
            make.make_node("AveragePool", ["images"], ["pooled"], kernel_shape=[8, 16], strides=[8, 16]),
            make.make_node("Flatten", ["pooled"], ["flat"]),
            make.make_node("Mul", ["flat", "scale"], ["embedding"]),
        ],
        "stripes",
        [make.make_tensor_value_info("images", floats, ["n", 3, 32, 16])],
        [make.make_tensor_value_info("embedding", floats, ["n", 12])],
        [make.make_tensor("scale", floats, [1], [scale])],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9)
    add_card(model, path.stem, (32, 16), 12)
    onnx.save(model, str(path))
    return path


def add_card(model: Any, name: str, size: tuple[int, int], embedding_size: int) -> None:
    """Write into an ONNX model that it takes pictures as published OSNets do."""
    spec = InputSpec(height=size[0], width=size[1])
    card = ModelCard(name=name, architecture="unknown", input=spec, embedding_size=embedding_size)
    entry = model.metadata_props.add()
    entry.key, entry.value = "omnireid.card", card.to_json()
