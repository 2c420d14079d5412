"""What the routes share: the model, the galleries, and the threads that work for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from omnireid.core.arrays import Float32
from omnireid.core.detection import PersonDetector
from omnireid.core.errors import InputError, OmniReIDError
from omnireid.core.machine import available_cores
from omnireid.evaluation.calibration import Calibration
from omnireid.gallery.decisions import Judge
from omnireid.gallery.texts import check_text
from omnireid.server.batching import Batcher
from omnireid.server.detecting import Detecting
from omnireid.server.limits import Limits
from omnireid.server.metrics import Metrics
from omnireid.server.pictures import Decoder, Picture
from omnireid.server.problems import Problem
from omnireid.server.telling import Receiver
from omnireid.server.upkeep import Upkeep
from omnireid.server.watching import Watcher

if TYPE_CHECKING:
    from fastapi import Request

    from omnireid.gallery.gallery import Gallery
    from omnireid.gallery.watching import WatchList
    from omnireid.inference.embedder import Embedder
    from omnireid.server.tokens import Token
    from omnireid.video.live import LiveCameras

MAX_BATCH = 32
# Of a thread that decodes for itself: so few crops stay in its core's cache until they are embedded.
_MAX_OWN_BATCH = 8


class Service:
    """One model and the galleries that are searched with it.

    Attributes:
        model: the model whose embeddings the service makes.
        is_ready: whether the first batch has run; engines compile and allocate with it.
        failure: why it never will.
        streams: how many streams of events are open.
        is_stopping: whether the server is about to end; streams of events would hold it up.
        is_draining: whether it is about to stop, and load balancers should go elsewhere.
        is_known: whether a request's token still is one.
        detecting: finds people in frames; None without a detector.
        cameras: cameras that are followed; None without any.
        looked: when a caller's look through a camera was last written into the audit.
    """

    def __init__(
        self,
        embedder: Embedder,
        galleries: Mapping[str, Gallery],
        *,
        calibration: Calibration | None,
        limits: Limits,
        metrics: Metrics,
        receivers: Sequence[Receiver] = (),
        detector: PersonDetector | None = None,
    ) -> None:
        for name in galleries:
            _check_name(name)
        self.embedder = embedder
        self.galleries = dict(galleries)
        self.calibration = calibration
        self.limits = limits
        self.metrics = metrics
        self.detecting = None if detector is None else Detecting(detector)
        self.cameras: LiveCameras | None = None
        self.looked: dict[tuple[str, str], float] = {}
        self.model = embedder.ref
        self.is_ready = False
        self.failure = ""
        self.decoder = Decoder(embedder.card.input, limits.max_pixels)
        self.streams = 0
        self.is_stopping: Callable[[], bool] = lambda: False
        self.is_draining: Callable[[], bool] = lambda: False
        self.is_known: Callable[[Request], bool] = lambda request: True
        self._watchers = {name: Watcher(name, gallery, receivers) for name, gallery in self.galleries.items()}
        self._upkeep = [
            Upkeep(name, gallery, metrics, daily=self._watchers[name].delete_ended)
            for name, gallery in self.galleries.items()
        ]
        engine_threads = embedder.calls_side_by_side
        self._batcher = Batcher(
            embedder,
            engine_threads=engine_threads,
            # Decoding takes a small part of the time; more threads would take the engine's cores from it.
            decode_threads=0 if engine_threads > 1 else max(1, available_cores() // 2),
            max_batch=_MAX_OWN_BATCH if engine_threads > 1 else MAX_BATCH,
            max_waiting=limits.max_waiting,
            observer=metrics,
        )
        for kind in {receiver.kind for receiver in receivers}:
            text = f"Alerts of the watch lists that the {kind} has not taken yet."
            metrics.watch(f"omnireid_{kind}_waiting", text, partial(self._num_untold, kind))
        batcher = self._batcher
        metrics.watch(
            "omnireid_pictures_waiting", "Pictures that wait for the engine.", lambda: batcher.waiting
        )
        metrics.watch(
            "omnireid_engine_rate", "Pictures per second while the engine works.", lambda: batcher.rate
        )

    def start(self) -> None:
        """Run a first batch, in a thread of its own, and be ready then; begin the upkeep of the galleries."""
        threading.Thread(target=self._warm_up, name="omnireid-warm-up", daemon=True).start()
        for upkeep in self._upkeep:
            upkeep.start()
        for watcher in self._watchers.values():
            watcher.start()
        if self.cameras is not None:
            self.cameras.start()

    def follow(self, cameras: LiveCameras) -> None:
        """Follow the people before cameras too, from the start on; their gallery is one of the service's."""
        self.cameras = cameras
        self.metrics.cameras(cameras)

    def close(self) -> None:
        """Finish what was taken on."""
        if self.cameras is not None:
            self.cameras.stop()
        self._batcher.close()
        for watcher in self._watchers.values():
            watcher.stop()
        for upkeep in self._upkeep:
            upkeep.stop()

    def gallery(self, name: str | None, caller: Token | None = None) -> Gallery:
        """The gallery of this name, by default the first, in the hands of who is calling.

        Raises:
            Problem: there is none.
        """
        if name is None and self.galleries:
            name = next(iter(self.galleries))
        if name is None or name not in self.galleries:
            known = ", ".join(self.galleries) or "none; start the server with --gallery"
            reason = f"gallery: there is no gallery {name!r}. Known: {known}"
            raise Problem(404, reason, [("gallery", "unknown")])
        gallery = self.galleries[name]
        return gallery if caller is None else gallery.acting_as(caller.name)

    def name_of(self, gallery: Gallery) -> str:
        """What a gallery of the service is called."""
        return next(name for name, known in self.galleries.items() if known is gallery)

    def watcher(self, name: str | None) -> Watcher:
        """Of the gallery of this name, by default of the first.

        Raises:
            Problem: there is none.
        """
        self.gallery(name)
        return self._watchers[next(iter(self._watchers)) if name is None else name]

    def watch_list(self, name: str | None, caller: Token) -> WatchList:
        """Of the gallery of this name, in the hands of who is calling.

        Raises:
            Problem: there is none.
        """
        return self.watcher(name).watch_list.acting_as(caller.name)

    def away(self) -> str:
        """Why a gallery cannot be read now, with its name; "" where all can."""
        for name, gallery in self.galleries.items():
            try:
                gallery.check()
            except OmniReIDError as error:
                return f"gallery {name}: {error}"
        return ""

    def judge(self, false_alarm_rate: float | None = None, prior: float | None = None) -> Judge:
        """What scores of the model mean.

        Raises:
            InputError: a rate or prior that cannot be used.
        """
        return Judge.of(self.calibration, self.model, false_alarm_rate=false_alarm_rate, prior=prior)

    async def embed(self, pictures: list[Picture]) -> Float32:
        """(N, D) float32 of unit norm, together with the pictures of other requests.

        Raises:
            Problem: a picture that cannot be used, or 429.
        """
        return await self._batcher.embed([partial(picture.prepare, self.decoder) for picture in pictures])

    def _num_untold(self, kind: str) -> float:
        senders = (sender for watcher in self._watchers.values() for sender in watcher.senders)
        return sum(sender.waiting for sender in senders if sender.receiver.kind == kind)

    def _warm_up(self) -> None:
        spec = self.embedder.card.input
        try:
            for size in (MAX_BATCH, 1):
                self.embedder.embed(np.zeros((size, spec.height, spec.width, 3), np.uint8))
        except OmniReIDError as error:
            self.failure = str(error)
            return
        self.is_ready = True


def _check_name(name: str) -> None:
    """Refuse a gallery's name that no address carries."""
    check_text("gallery", name)
    if "/" in name or name in (".", ".."):
        raise InputError(f"gallery {name!r}: no address can carry this name; choose another")
