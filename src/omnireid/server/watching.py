"""Looking at what is enrolled while a gallery is served, and what others are told of an alert."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from omnireid.gallery.watching import Alert, Follower, WatchList
from omnireid.server.rounds import Rounds
from omnireid.server.schemas import format_time
from omnireid.server.telling import Receiver, Sender

if TYPE_CHECKING:
    from omnireid.gallery.gallery import Gallery

log = logging.getLogger("omnireid.server")

_LOOK_S = 1.0


class Watcher:
    """The watch list of one gallery that is served: a thread looks, and one tells each receiver.

    Args:
        receivers: who is told of every alert.

    Attributes:
        watch_list: the watch list that the routes use too, so that its changes are seen at once.
        senders: the senders to the receivers.
    """

    def __init__(self, name: str, gallery: Gallery, receivers: Sequence[Receiver]) -> None:
        self.watch_list = WatchList(gallery)
        self.senders = [Sender(receiver, self.watch_list, name, message) for receiver in receivers]
        self._name, self._gallery = name, gallery
        follower = Follower(self.watch_list, gallery)
        self._rounds = Rounds(f"watch-{name}", follower.step, _LOOK_S, self._report)

    def start(self) -> None:
        """Begin; of a gallery that can only be read there is nothing to do."""
        if self._gallery.read_only is None:
            self._rounds.start()
            for sender in self.senders:
                sender.start()

    def stop(self) -> None:
        """Let what runs end."""
        for sender in self.senders:
            sender.stop()
        self._rounds.stop()

    def delete_ended(self) -> None:
        """For the daily upkeep."""
        if count := self.watch_list.delete_ended():
            log.info("gallery %s: %d entries of the watch list ended, and were deleted", self._name, count)

    def _report(self, error: Exception) -> None:
        log.error("gallery %s: the watch list waits: %s", self._name, error)


def message(gallery: str, alert: Alert) -> dict[str, Any]:
    """What receivers and the page's events are told: ids, place and time; no name, reason or picture.

    `link` is where the page shows it, from the page's own address on.
    """
    return {
        "type": "watch.alert",
        "gallery": gallery,
        "id": alert.id,
        "seq": alert.seq,
        "entry": alert.entry,
        "identity": alert.identity,
        "item": alert.item,
        "camera": alert.camera,
        "time": None if alert.time is None else format_time(alert.time),
        "raised": format_time(alert.raised),
        "why": alert.why,
        "probability": alert.probability,
        "false_alarm_rate": alert.false_alarm_rate,
        "link": f"#/watch?{urlencode({'gallery': gallery})}",
        "note": "A hint for a human to look at, no proof of who it is.",
    }
