"""Another server as a receiver of alerts: every message is signed."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import urlsplit

import httpx2

from omnireid.core.errors import ConfigError
from omnireid.server.telling import Outcome

SECRET_VARIABLE = "OMNIREID_WEBHOOK_SECRET"
SIGNATURE, DELIVERY = "X-OmniReID-Signature", "X-OmniReID-Delivery"
MIN_SECRET = 16
"""Bytes; 32 at random are better."""

_TIMEOUT_S = 5.0
_REFUSED = frozenset({400, 413, 415, 422})
"""Answers that say that this message will never be taken."""


@dataclass(frozen=True, slots=True, repr=False)
class Webhook:
    """Where alerts are sent to.

    Attributes:
        url: https, or http where that is wanted.
        secret: the secret that both sides know; signs every message.
    """

    url: str
    secret: bytes
    kind: ClassVar[Literal["webhook"]] = "webhook"

    @classmethod
    def of(
        cls, url: str, secret_file: str | os.PathLike[str] | None, environment: Mapping[str, str] = os.environ
    ) -> Webhook:
        """From what `omnireid serve` is given.

        Args:
            secret_file: a file that only its owner may read; by default the secret is in
                `OMNIREID_WEBHOOK_SECRET`.

        Raises:
            ConfigError: no such address, no secret, one that is too short, or that others may read.
        """
        expected = "--webhook: expected an address such as https://example.org/alerts"
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as error:
            raise ConfigError(f"{expected} ({error})") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(expected)
        if parts.username or parts.password:
            raise ConfigError(
                "--webhook: no name or password in the address; the receiver checks the signature"
            )
        return cls(url, _secret(secret_file, environment))

    @property
    def host(self) -> str:
        """Whom it goes to, without what else the address may hold."""
        return urlsplit(self.url).hostname or ""

    @property
    def is_plain(self) -> bool:
        """Whether anybody on the way can read it."""
        return urlsplit(self.url).scheme == "http"

    @property
    def key(self) -> str:
        """By which the gallery remembers how far this one was told."""
        return hashlib.blake2b(self.url.encode(), digest_size=8).hexdigest()

    def connect(self) -> Post:
        """A way to it."""
        return Post(self)

    def __repr__(self) -> str:
        return f"Webhook({self.host!r})"


def sign(secret: bytes, timestamp: int, body: bytes) -> str:
    """The signature's header: "t=TIMESTAMP,v1=HEX", HMAC-SHA256 over "TIMESTAMP.BODY"."""
    digest = hmac.new(secret, b"%d." % timestamp + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


class Post:
    """Posts messages to a webhook."""

    def __init__(self, webhook: Webhook) -> None:
        self._webhook = webhook
        self._http = httpx2.Client(timeout=_TIMEOUT_S, trust_env=False, follow_redirects=False)

    def send(self, gallery: str, delivery: str, body: bytes, now: float) -> Outcome:
        """As `Line.send`."""
        headers = {
            "Content-Type": "application/json",
            DELIVERY: delivery,
            SIGNATURE: sign(self._webhook.secret, int(now), body),
        }
        try:
            # What it answers is not read: the status says all.
            with self._http.stream("POST", self._webhook.url, content=body, headers=headers) as response:
                status = response.status_code
        except httpx2.HTTPError as error:
            return Outcome(str(error) or type(error).__name__)
        return Outcome("" if 200 <= status < 300 else f"answered {status}", status in _REFUSED)

    def close(self) -> None:
        """End the connection."""
        self._http.close()


def _secret(file: str | os.PathLike[str] | None, environment: Mapping[str, str]) -> bytes:
    if file is None:
        text, where = environment.get(SECRET_VARIABLE, ""), SECRET_VARIABLE
        if not text:
            raise ConfigError(
                "--webhook: needs a secret, which signs every message: name a file with "
                f"--webhook-secret-file, or set {SECRET_VARIABLE}"
            )
        secret = text.strip().encode()
    else:
        path, where = Path(file), str(file)
        try:
            if os.name == "posix" and path.stat().st_mode & 0o077:
                raise ConfigError(f"{path}: others may read it; chmod 600 {path}")
            secret = path.read_bytes().strip()
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror or error})") from error
    if len(secret) < MIN_SECRET:
        raise ConfigError(
            f"{where}: expected a secret of at least {MIN_SECRET} bytes, got {len(secret)}; make one: "
            "openssl rand -hex 32"
        )
    return secret
