"""What a gallery keeps of its watch list: entries, alerts, and how far it has looked; how it is forgotten.

All of it is about people, so that it goes with them: `forgetting` calls what is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from omnireid.gallery.journal import Step
from omnireid.gallery.store import GalleryStore

WATCHED = "watch"
"""Kind of the records: by id {identity, reason, created, ends, actor}."""
ALERTS = "watch-alert"
"""Kind of the records: by id {seq, entry, item, compared, camera, time, enrolled, raised, why, …}."""
STATE = "watch-state"
"""Kind of the records: how far was looked and sent, and counts. Nothing in it is about a person."""

KINDS = (WATCHED, ALERTS, STATE)


def forget_traces(store: GalleryStore, identities: Iterable[str], items: Iterable[str]) -> None:
    """Delete entries of identities with their alerts, and alerts of items; run again it does what is left.

    Args:
        identities: the identities, with all aliases.
    """
    gone, gone_items = set(identities), set(items)
    ended = [entry_id for entry_id, entry in store.records(WATCHED).items() if entry["identity"] in gone]
    alerts = store.records(ALERTS)
    _delete(store, ended, [alert_id for alert_id, alert in alerts.items() if alert["item"] in gone_items])
    # The picture that it was compared with: the alert itself is about another one.
    parted = {
        alert_id: {**alert, "compared": None}
        for alert_id, alert in store.records(ALERTS).items()
        if alert["compared"] in gone_items
    }
    if parted:
        store.put_records(ALERTS, parted)


def named_items(store: GalleryStore) -> set[str]:
    """Ids of the items that alerts name."""
    alerts = store.records(ALERTS).values()
    return {item for alert in alerts for item in (alert["item"], alert["compared"]) if item is not None}


def forget_buried(store: GalleryStore, latest: Callable[[str], float]) -> None:
    """Delete what an old backup has brought back of those who were forgotten since.

    Args:
        latest: when an id was forgotten last, Unix seconds; minus infinity if never.
    """
    entries, alerts = store.records(WATCHED), store.records(ALERTS)
    forget_traces(
        store,
        [entry["identity"] for entry in entries.values() if entry["created"] <= latest(entry["identity"])],
        [alert["item"] for alert in alerts.values() if alert["enrolled"] <= latest(alert["item"])],
    )


def _delete(store: GalleryStore, entries: Iterable[str], alerts: Iterable[str]) -> None:
    """Alerts first: after a crash the entries tell again which those are."""
    ended = set(entries)
    known = store.records(ALERTS) if ended else {}
    gone = {*alerts, *(alert_id for alert_id, alert in known.items() if alert["entry"] in ended)}
    if gone:
        store.delete_records(ALERTS, sorted(gone))
    if ended:
        store.delete_records(WATCHED, sorted(ended))


STEPS: Mapping[str, Step] = {
    "end-watching": lambda store, what: _delete(store, what["entries"], what["alerts"]),
}
"""For the journal: deletes `entries` with their alerts, and single `alerts`."""
