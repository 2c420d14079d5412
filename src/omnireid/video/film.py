"""A film, written frame by frame at the times of its frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from omnireid.core.arrays import UInt8
from omnireid.core.errors import StorageError
from omnireid.core.files import storage_error
from omnireid.video.reading import pyav


class Film:
    """A video (H.264) that appears under its name once it is whole; as large as its first picture.

    Args:
        ticks: Into how many parts a second is divided for the frames' times.
        container, encoder: Options of FFmpeg's.
    """

    def __init__(
        self,
        path: Path,
        *,
        ticks: int = 1000,
        container: Mapping[str, str] | None = None,
        encoder: Mapping[str, str] | None = None,
    ) -> None:
        self.path, self._tick = path, Fraction(1, ticks)
        self._options = container, encoder
        self._part = path.with_name(f"{path.stem}.part{path.suffix or '.mp4'}")
        self._last = -1

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise storage_error(f"{self.path}: cannot be written", error) from error
        except ValueError as error:
            raise StorageError(f"{self.path}: cannot be written: {error}") from error

    def __enter__(self) -> Any:
        container, encoder = self._options
        with self._told():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._container = pyav().open(str(self._part), "w", options=container)
            self._stream = self._container.add_stream("libx264", rate=30, options=encoder)
        return self

    def add(self, time: float, picture: UInt8) -> None:
        """Add a frame at its time in seconds."""
        if self._last < 0:
            # Sides of H.264's usual pictures are even.
            self._stream.height, self._stream.width = (max(2, side // 2 * 2) for side in picture.shape[:2])
            self._stream.pix_fmt = "yuv420p"
            self._stream.codec_context.time_base = self._tick
        height, width = self._stream.height, self._stream.width
        frame = pyav().VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), format="rgb24")
        self._last = max(round(time / self._tick), self._last + 1)
        frame.pts, frame.time_base = self._last, self._tick
        self._write(frame)

    def _write(self, frame: Any) -> None:
        with self._told():
            self._container.mux(self._stream.encode(frame))

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None and self._last >= 0:
                self._write(None)
            with self._told():
                self._container.close()
                if kind is None:
                    self._part.replace(self.path)
        finally:
            self._part.unlink(missing_ok=True)
