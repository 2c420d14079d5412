"""Telling others of alerts: in order, again and again until they say that they have them.

The queue is the gallery's own row of alerts, and a number that says how far it was sent. It is on disk,
bounded, and holds nobody who was forgotten meanwhile. A message may come twice (after a crash between sending
and noting it): its id stays the same.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from omnireid.gallery.watching import Alert, WatchList
from omnireid.server.rounds import Rounds

GIVE_UP_S = 3 * 86_400.0
"""An alert that nobody has taken for so long is left out."""
LONGEST_WAIT_S = 3600.0

_LOOK_S = 1.0

log = logging.getLogger("omnireid.server")


class Outcome(NamedTuple):
    """What became of a message: why it was not taken, "" where it was; whether it never will be."""

    failure: str = ""
    is_refused: bool = False


class Line(Protocol):
    """A way to a receiver, for one thread."""

    def send(self, gallery: str, delivery: str, body: bytes, now: float) -> Outcome:
        """Send a message, and wait until it was taken.

        Args:
            delivery: the same whenever this message is sent.
            body: JSON.
            now: Unix seconds.
        """

    def close(self) -> None:
        """Let go of it."""


class Receiver(Protocol):
    """Who is told of alerts."""

    @property
    def kind(self) -> Literal["webhook", "broker"]:
        """What it is."""

    @property
    def host(self) -> str:
        """Whom it goes to, without what else the address may hold."""

    @property
    def key(self) -> str:
        """By which the gallery remembers how far this one was told."""

    def connect(self) -> Line:
        """A way to it; nothing is sent yet."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where a receiver stands.

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
    """Sends one gallery's alerts to a receiver, in a thread of its own: a dead receiver holds nobody up.

    Args:
        message: what is said of an alert of this gallery.
        clock: Unix seconds.

    Attributes:
        waiting: alerts that were not taken yet, as of the last look.
    """

    def __init__(
        self,
        receiver: Receiver,
        watch_list: WatchList,
        gallery: str,
        message: Callable[[str, Alert], Mapping[str, Any]],
        *,
        clock: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.receiver = receiver
        self.waiting = 0
        self._list, self._gallery, self._message = watch_list, gallery, message
        self._clock, self._draw = clock, draw
        self._line = receiver.connect()
        self._rounds = Rounds(f"{receiver.kind}-{gallery}", self.step, _LOOK_S, self._report)

    def __str__(self) -> str:
        return f"{self.receiver.kind} {self.receiver.host}"

    def start(self) -> None:
        """Begin with what has not been taken yet."""
        self._rounds.start()

    def stop(self) -> None:
        """Let a message that is on its way arrive."""
        self._rounds.stop()
        self._line.close()

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
            # Of a clock that was far ahead and has been put right, the next try is not months away.
            until_next = state["next"] - self._clock() if state["failures"] else 0.0
            if not waiting or 0 < until_next < 2 * LONGEST_WAIT_S:
                return
            alert = waiting[0]
            done = {**state, "after": alert.seq, "failures": 0, "failure": "", "next": 0.0}
            outcome = self._send(alert)
            if not outcome.failure:
                self._put(done)
                if state["failures"]:
                    log.info("%s: takes alerts again", self)
                continue
            if outcome.is_refused or self._clock() - alert.raised > GIVE_UP_S:
                log.error("%s: alert %s is left out: %s", self, alert.id, outcome.failure)
                self._put({**done, "given_up": state["given_up"] + 1})
                continue
            failures = state["failures"] + 1
            if failures == 1:
                log.warning("%s: %s; alerts wait and are sent again", self, outcome.failure)
            wait = min(LONGEST_WAIT_S, 2.0**failures) * (0.5 + 0.5 * self._draw())
            self._put(
                {**state, "failures": failures, "failure": outcome.failure, "next": self._clock() + wait}
            )
            return

    def _send(self, alert: Alert) -> Outcome:
        content = json.dumps(self._message(self._gallery, alert)).encode()
        return self._line.send(self._gallery, alert.id, content, self._clock())

    def _state(self) -> dict[str, Any]:
        state = self._list.state(self.receiver.key)
        if not state:
            # What was raised before somebody asked to be told is no news.
            state = {
                "after": self._list.last_number(), "failures": 0, "failure": "", "next": 0.0, "given_up": 0,
            }  # fmt: skip
            self._put(state)
        return state

    def _put(self, state: Mapping[str, Any]) -> None:
        self._list.put_state(self.receiver.key, state)

    def _report(self, error: Exception) -> None:
        log.error("%s: %s", self, error)
