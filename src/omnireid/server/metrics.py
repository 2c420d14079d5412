"""What the service says about itself to Prometheus. Nothing in it is about a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from prometheus_client import Metric

    from omnireid.video.live import LiveCameras

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counters of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "omnireid_requests", "Requests that were answered.", ("route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "omnireid_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._rejected = Counter(
            "omnireid_rejected", "Requests that were told to come back (429).", registry=self.registry
        )
        self._errors = Counter("omnireid_errors", "Requests that met a defect (500).", registry=self.registry)
        self._batch_pictures = Histogram(
            "omnireid_batch_pictures", "Pictures in a batch.", buckets=_SIZES, registry=self.registry
        )
        self._batch_seconds = Histogram(
            "omnireid_batch_seconds", "Of one batch in the engine.", buckets=_SECONDS, registry=self.registry
        )
        self._items = Gauge(
            "omnireid_gallery_items", "Items in a gallery.", ("gallery",), registry=self.registry
        )

    def request(self, route: str, status: int, seconds: float) -> None:
        """One request was answered."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        if status == 429:
            self._rejected.inc()
        if status == 500:
            self._errors.inc()

    def batch(self, size: int, seconds: float) -> None:
        """One batch was embedded."""
        self._batch_pictures.observe(size)
        self._batch_seconds.observe(seconds)

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A number that is looked up whenever somebody asks."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def items(self, gallery: str, count: int) -> None:
        """How many items a gallery holds; counted once a minute."""
        self._items.labels(gallery).set(count)

    def cameras(self, cameras: LiveCameras) -> None:
        """How cameras that are followed are, looked up whenever somebody asks."""
        self.registry.register(_Cameras(cameras))

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self.registry)


class _Cameras(Collector):
    def __init__(self, cameras: LiveCameras) -> None:
        self._cameras = cameras

    def collect(self) -> Iterator[Metric]:
        states = self._cameras.states()
        is_live = GaugeMetricFamily("omnireid_camera_live", "Whether pictures come.", labels=("camera",))
        for state in states:
            is_live.add_metric((state.name,), float(state.state == "live"))
        yield is_live
        for name, text in (
            ("frames", "Pictures that were read."),
            ("skipped", "Pictures that came before the one before was done with."),
            ("damaged", "Pictures that could not be decoded."),
            ("reconnections", "Times that the camera was opened again."),
        ):
            count = CounterMetricFamily(f"omnireid_camera_{name}", text, labels=("camera",))
            for state in states:
                count.add_metric((state.name,), getattr(state, name))
            yield count
        text = "Parts of walks that are not in the gallery yet."
        yield GaugeMetricFamily("omnireid_walks_waiting", text, self._cameras.waiting)
        yield CounterMetricFamily(
            "omnireid_walks_lost", "Parts of walks that were left out.", self._cameras.lost
        )
