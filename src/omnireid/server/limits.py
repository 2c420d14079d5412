"""How much one request may ask for."""

from __future__ import annotations

from dataclasses import dataclass, fields

from omnireid.core.errors import InputError


@dataclass(frozen=True)
class Limits:
    """Bounds that keep one client from taking the machine.

    Attributes:
        max_bytes: most bytes of a request's body; base64 takes a third more than the picture.
        max_pixels: most pixels of a picture, checked before it is decoded.
        max_items: pictures or items in one request.
        max_k: candidates of one search.
        max_waiting: pictures that wait for the engine before clients are told to come back.
        max_held: bytes of all bodies held at once.
        max_requests: under way at once; more are told to come back.
        max_connections: open at once; more are closed unheard.
        head_timeout_s, body_timeout_s: seconds for a request's headers and for its body to arrive.
        request_timeout_s: seconds for an answer.
    """

    max_bytes: int = 16_000_000
    max_pixels: int = 25_000_000
    max_items: int = 256
    max_k: int = 1000
    max_waiting: int = 1024
    max_held: int = 256_000_000
    max_requests: int = 256
    max_connections: int = 1024
    head_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    request_timeout_s: float = 120.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise InputError(f"{field.name}: expected above 0, got {value}")
