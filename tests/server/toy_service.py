"""A service around a toy model, whose galleries hold made-up people, and requests to it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from starlette.testclient import TestClient

from gallery.people import calibration
from omnireid import Embedder, Gallery, ModelRef
from omnireid.core.arrays import Float32, UInt8
from omnireid.core.card import InputSpec, ModelCard
from omnireid.core.detection import Detections
from omnireid.evaluation.calibration import Calibration
from omnireid.server.app import create_app

SHA256 = "ab" * 32
DIM = 32
HEIGHT, WIDTH = 64, 32
URL = "http://127.0.0.1"


class ToyBackend:
    """Embeds the colours of sixteen parts of a picture, by a fixed matrix."""

    name = "toy"
    device = "cpu"
    calls_side_by_side = None
    card = ModelCard(
        name="toy",
        architecture="toy",
        input=InputSpec(height=HEIGHT, width=WIDTH),
        embedding_size=DIM,
        sha256=SHA256,
    )

    def __init__(self) -> None:
        self._matrix = np.random.default_rng(7).standard_normal((48, DIM))

    def embed(self, crops: UInt8) -> Float32:
        parts = crops.reshape(len(crops), 8, HEIGHT // 8, 2, WIDTH // 2, 3).mean(axis=(2, 4))
        return ((parts.reshape(len(crops), 48) - 127.5) @ self._matrix).astype(np.float32)

    def feature_maps(self, crops: UInt8) -> Float32:
        return crops[:, ::8, ::8].transpose(0, 3, 1, 2).astype(np.float32)


MODEL = ModelRef("toy", SHA256, DIM)


class ToyDetector:
    """Finds one person in the middle of every picture, and surer ones that reach out of it or are none."""

    name = "toy-detector"

    def detect(self, picture: UInt8) -> Detections:
        height, width = picture.shape[:2]
        middle = [width / 4, height / 4, width / 2, height / 2]
        boxes = [middle, [-10, -10, 10 + width / 2, 2 * height], [width, 0, 5, 5], [0, 0, np.nan, 1]]
        return Detections(np.array(boxes), np.array([0.5, 0.9, 0.8, 0.7]))


@cache
def toy_calibration() -> Calibration:
    """Fitted once; tests only read it."""
    return calibration(model=MODEL)


def person(seed: int, view: int = 0, *, kind: str = "JPEG", size: tuple[int, int] = (48, 96)) -> bytes:
    """An encoded picture of somebody; views differ a little."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 2, 3), dtype=np.uint8)
    picture = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.NEAREST), np.float32)
    noisy = picture + np.random.default_rng([seed, view]).normal(0, 6, picture.shape)
    stream = io.BytesIO()
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(stream, kind)
    return stream.getvalue()


def text_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


@contextmanager
def service(folder: Path, *, calibrated: bool = True, **options: Any) -> Iterator[TestClient]:
    """A client of a service with the galleries "doors" and "yard"."""
    known = toy_calibration() if calibrated else None
    uris = {name: str(folder / name) for name in ("doors", "yard")}
    with (
        Gallery.open(uris["doors"], calibration=known) as doors,
        Gallery.open(uris["yard"], calibration=known) as yard,
    ):
        galleries = {"doors": doors, "yard": yard}
        app = create_app(Embedder(ToyBackend()), galleries, calibration=known, **options)
        with TestClient(app, base_url=URL, raise_server_exceptions=False) as client:
            yield client


def post_picture(client: TestClient, path: str, content: bytes, **query: Any) -> Any:
    return client.post(path, content=content, params=query, headers={"Content-Type": "image/jpeg"})


def enrol(client: TestClient, seed: int, view: int = 0, **query: Any) -> dict[str, Any]:
    answer = post_picture(client, "/v1/enrol", person(seed, view), **query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["items"][0]
    return found
