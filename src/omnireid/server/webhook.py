"""Telling another server of alerts: signed, in order, again and again until it says that it has them.

The queue is the gallery's own row of alerts, and a number that says how far it was sent. It is on disk,
bounded, and holds nobody who was forgotten meanwhile. A message may come twice (after a crash between sending
and noting it): its id stays the same.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from omnireid.core.errors import ConfigError
from omnireid.gallery.watching import Alert, WatchList
from omnireid.server.rounds import Rounds

SECRET_VARIABLE = "OMNIREID_WEBHOOK_SECRET"
SIGNATURE, DELIVERY = "X-OmniReID-Signature", "X-OmniReID-Delivery"
MIN_SECRET = 16
"""Bytes; 32 at random are better."""
GIVE_UP_S = 3 * 86_400.0
"""An alert that nobody has taken for so long is left out."""
LONGEST_WAIT_S = 3600.0

_TIMEOUT_S = 5.0
_LOOK_S = 1.0
_REFUSED = frozenset({400, 413, 415, 422})
"""Answers that say that this message will never be taken."""

log = logging.getLogger("omnireid.server")


@dataclass(frozen=True, slots=True, repr=False)
class Webhook:
    """Where alerts are sent to.

    Attributes:
        url: https, or http where that is wanted.
        secret: the secret that both sides know; signs every message.
    """

    url: str
    secret: bytes

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
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"--webhook {url}: expected an address such as https://example.org/alerts")
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

    def __repr__(self) -> str:
        return f"Webhook({self.host!r})"


def sign(secret: bytes, timestamp: int, body: bytes) -> str:
    """The signature's header: "t=TIMESTAMP,v1=HEX", HMAC-SHA256 over "TIMESTAMP.BODY"."""
    digest = hmac.new(secret, b"%d." % timestamp + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where the webhook stands.

    Attributes:
        waiting: alerts that were not taken yet.
        oldest: when the oldest of these was raised, Unix seconds; None where none waits.
        failures: tries in a row that failed.
        failure: why the last message failed, in words; "" where all is well.
        next_try: Unix seconds; None where nothing waits for that.
        given_up: alerts that were left out, because nobody took them for three days or they were refused.
    """

    waiting: int
    oldest: float | None
    failures: int
    failure: str
    next_try: float | None
    given_up: int


class Sender:
    """Sends one gallery's alerts to a webhook, in a thread of its own: a dead receiver holds nobody up.

    Args:
        message: what is said of an alert of this gallery.
        clock: Unix seconds.

    Attributes:
        waiting: alerts that were not taken yet, as of the last look.
    """

    def __init__(
        self,
        webhook: Webhook,
        watch_list: WatchList,
        gallery: str,
        message: Callable[[str, Alert], Mapping[str, Any]],
        *,
        clock: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.webhook = webhook
        self.waiting = 0
        self._list, self._gallery, self._message = watch_list, gallery, message
        self._clock, self._draw = clock, draw
        self._http = httpx2.Client(timeout=_TIMEOUT_S, trust_env=False, follow_redirects=False)
        self._rounds = Rounds(f"webhook-{gallery}", self.step, _LOOK_S, self._report)

    def start(self) -> None:
        """Begin with what has not been taken yet."""
        self._rounds.start()

    def stop(self) -> None:
        """Let a message that is on its way arrive."""
        self._rounds.stop()
        self._http.close()

    def state(self) -> Delivery:
        """Where it stands."""
        state = self._state()
        waiting = self._list.alerts(after=state["after"])
        return Delivery(
            waiting=len(waiting),
            oldest=waiting[0].raised if waiting else None,
            failures=state["failures"],
            failure=state["failure"],
            next_try=state["next"] if waiting and state["failures"] else None,
            given_up=state["given_up"],
        )

    def step(self) -> None:
        """Send what waits, until all of it was taken or one was not."""
        while not self._rounds.is_stopping:
            state = self._state()
            waiting = self._list.alerts(after=state["after"])
            self.waiting = len(waiting)
            if not waiting or (state["failures"] and self._clock() < state["next"]):
                return
            alert = waiting[0]
            done = {**state, "after": alert.seq, "failures": 0, "failure": "", "next": 0.0}
            status, failure = self._send(alert)
            if not failure:
                self._put(done)
                if state["failures"]:
                    log.info("webhook %s: takes alerts again", self.webhook.host)
                continue
            if status in _REFUSED or self._clock() - alert.raised > GIVE_UP_S:
                log.error("webhook %s: alert %s is left out: %s", self.webhook.host, alert.id, failure)
                self._put({**done, "given_up": state["given_up"] + 1})
                continue
            failures = state["failures"] + 1
            if failures == 1:
                log.warning("webhook %s: %s; alerts wait and are sent again", self.webhook.host, failure)
            wait = min(LONGEST_WAIT_S, 2.0**failures) * (0.5 + 0.5 * self._draw())
            self._put({**state, "failures": failures, "failure": failure, "next": self._clock() + wait})
            return

    def _send(self, alert: Alert) -> tuple[int | None, str]:
        """The status, and why it was not taken; "" where it was."""
        body = json.dumps(self._message(self._gallery, alert)).encode()
        headers = {
            "Content-Type": "application/json",
            DELIVERY: alert.id,
            SIGNATURE: sign(self.webhook.secret, int(self._clock()), body),
        }
        try:
            # What it answers is not read: the status says all.
            with self._http.stream("POST", self.webhook.url, content=body, headers=headers) as response:
                status = response.status_code
        except httpx2.HTTPError as error:
            return None, str(error) or type(error).__name__
        return status, "" if 200 <= status < 300 else f"answered {status}"

    def _state(self) -> dict[str, Any]:
        state = self._list.state(self.webhook.key)
        if not state:
            # What was raised before somebody asked to be told is no news.
            state = {
                "after": self._list.last_number(), "failures": 0, "failure": "", "next": 0.0, "given_up": 0,
            }  # fmt: skip
            self._put(state)
        return state

    def _put(self, state: Mapping[str, Any]) -> None:
        self._list.put_state(self.webhook.key, state)

    def _report(self, error: Exception) -> None:
        log.error("webhook %s: %s", self.webhook.host, error)


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
