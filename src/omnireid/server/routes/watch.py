"""The watch list: who is watched for, why and until when; alerts, and events as they are raised."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from omnireid.core.errors import OmniReIDError
from omnireid.gallery.errors import NotInGalleryError
from omnireid.gallery.gallery import Gallery
from omnireid.gallery.items import Filter
from omnireid.gallery.texts import MAX_TEXT
from omnireid.gallery.watching import Alert, Answer, Expectation, WatchList
from omnireid.server import watch_schemas as schemas
from omnireid.server.problems import busy
from omnireid.server.routes.access import InGallery, JsonBody, Reader, Route, ServiceOf, Writer
from omnireid.server.routes.wire import items_out
from omnireid.server.schemas import ItemOut
from omnireid.server.service import Service
from omnireid.server.watching import Watcher, message

router = APIRouter(route_class=Route, tags=["watch list"])

OneId = Annotated[str, Path(max_length=MAX_TEXT)]

MAX_STREAMS = 64
"""Event streams of one server."""
HOLD_S = 100.0
"""After so long a stream ends; the client comes back with `Last-Event-ID`."""
BEAT_S = 15.0
_LOOK_S = 0.5
_PART = 100
_DIGITS = 15
_UNANSWERED: tuple[Answer, ...] = ("new",)


@router.get("/v1/watch", summary="Who is watched for, and how many false alarms to expect")
def list_watched(query: InGallery, service: ServiceOf, caller: Reader) -> schemas.WatchAnswer:
    gallery, watcher = service.gallery(query.gallery), service.watcher(query.gallery)
    watch_list = watcher.watch_list.acting_as(caller.name)
    people = gallery.people()
    entries = watch_list.entries()
    answers: dict[str, Counter[str]] = {entry.id: Counter() for entry in entries}
    for alert in watch_list.alerts():
        answers.get(alert.entry, Counter())[alert.answer] += 1
    judged = watch_list.judged()
    return schemas.WatchAnswer(
        entries=[
            schemas.WatchEntryOut.of(
                entry,
                name=people.name(entry.identity),
                alerts=answers[entry.id].total(),
                unanswered=answers[entry.id]["new"],
                right=answers[entry.id]["right"],
                wrong=answers[entry.id]["wrong"],
            )
            for entry in entries
        ],
        expectation=watch_list.expectation(),
        judged=schemas.JudgedOut.of(judged),
        dropped=watch_list.num_dropped(),
        can_change=gallery.read_only or "",
        **(_receivers(watcher) if "admin" in caller.scopes and gallery.read_only is None else {}),
    )


@router.post("/v1/watch", summary="Watch for somebody from now on, for a reason and until a day")
def watch(
    body: JsonBody[schemas.WatchRequest], query: InGallery, service: ServiceOf, caller: Writer
) -> schemas.WatchEntryOut:
    gallery, watch_list = service.gallery(query.gallery), service.watch_list(query.gallery, caller)
    entry = watch_list.add(body.identity, reason=body.reason, ends=body.ends)
    name = gallery.people().name(entry.identity)
    return schemas.WatchEntryOut.of(entry, name=name, alerts=0, unanswered=0, right=0, wrong=0)


@router.get("/v1/watch/estimate", summary="How many false alarms a day to expect, perhaps with more people")
def estimate(
    query: Annotated[schemas.WatchEstimateQuery, Query()], service: ServiceOf, caller: Reader
) -> Expectation:
    gallery, watch_list = service.gallery(query.gallery), service.watch_list(query.gallery, caller)
    more = [gallery.identity(identity).id for identity in query.identity]
    return watch_list.expectation(more)


@router.get("/v1/watch/alerts", summary="Alerts, the latest first")
def list_alerts(
    query: Annotated[schemas.AlertsQuery, Query()], service: ServiceOf, _: Reader
) -> schemas.AlertsAnswer:
    gallery, watch_list = service.gallery(query.gallery), service.watcher(query.gallery).watch_list
    answers = _UNANSWERED if query.open else None
    # One more than is shown tells whether there are more.
    alerts = watch_list.alerts(before=query.before, answers=answers, limit=query.limit + 1, latest=True)
    shown = alerts[: query.limit]
    return schemas.AlertsAnswer(
        alerts=_alerts_out(gallery, watch_list, shown),
        unanswered=len(watch_list.alerts(answers=_UNANSWERED)),
        next=shown[-1].seq if len(alerts) > query.limit else None,
    )


@router.post("/v1/watch/alerts/{alert}", summary="Say what an alert turned out to be")
def answer_alert(
    alert: OneId,
    body: JsonBody[schemas.AlertAnswer],
    query: InGallery,
    service: ServiceOf,
    caller: Writer,
) -> schemas.AlertOut:
    gallery, watch_list = service.gallery(query.gallery), service.watch_list(query.gallery, caller)
    answered = watch_list.answer(alert, body.answer)
    shown = _alerts_out(gallery, watch_list, [answered])
    if not shown:
        raise NotInGalleryError("alert", alert)
    return shown[0]


@router.get(
    "/v1/watch/events",
    summary="Alerts as they are raised, as server-sent events; `Last-Event-ID` goes on where one was",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def events(
    request: Request, query: Annotated[schemas.EventsQuery, Query()], service: ServiceOf, caller: Reader
) -> StreamingResponse:
    watch_list = service.watch_list(query.gallery, caller)
    name = query.gallery or next(iter(service.galleries))
    if service.streams >= MAX_STREAMS:
        raise busy(f"{MAX_STREAMS} streams of events are open; come back later", 10)
    last = await run_in_threadpool(watch_list.last_number)
    known = request.headers.get("last-event-id", "").strip()
    # Of a gallery that was restored from an older backup: its numbers begin lower.
    is_number = known.isascii() and known.isdigit() and len(known) <= _DIGITS
    asked = int(known) if is_number else last if query.after is None else query.after
    stream = _stream(request, service, watch_list, name, min(last, asked))
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _stream(
    request: Request, service: Service, watch_list: WatchList, name: str, after: int
) -> AsyncIterator[bytes]:
    service.streams += 1
    try:
        # Ended before the guard would break it off.
        until = time.monotonic() + min(HOLD_S, 0.8 * service.limits.request_timeout_s)
        beaten = time.monotonic()
        # The number goes along at once, so that who comes back knows where it was.
        yield f"retry: 2000\nid: {after}\nevent: hello\ndata: {{}}\n\n".encode()
        while time.monotonic() < until and not service.is_stopping() and service.is_known(request):
            try:
                alerts = await run_in_threadpool(watch_list.alerts, after=after, limit=_PART)
            except OmniReIDError:
                return  # The client comes back, and is told why there is nothing.
            for alert in alerts:
                after = alert.seq
                data = json.dumps(message(name, alert))
                yield f"id: {after}\nevent: alert\ndata: {data}\n\n".encode()
            if alerts:
                beaten = time.monotonic()
            elif time.monotonic() - beaten >= BEAT_S:
                beaten = time.monotonic()
                yield b": nothing new\n\n"
            await asyncio.sleep(_LOOK_S)
    finally:
        service.streams -= 1


@router.delete(
    "/v1/watch/{entry}", summary="Watch for somebody no more; the entry and its alerts are deleted"
)
def end(entry: OneId, query: InGallery, service: ServiceOf, caller: Writer) -> schemas.EndedAnswer:
    watch_list = service.watch_list(query.gallery, caller)
    return schemas.EndedAnswer(alerts=watch_list.end(entry))


def _alerts_out(gallery: Gallery, watch_list: WatchList, alerts: Iterable[Alert]) -> list[schemas.AlertOut]:
    """Without those whose picture was forgotten a moment ago."""
    alerts = list(alerts)
    wanted = {item_id for alert in alerts for item_id in (alert.item, alert.compared) if item_id is not None}
    people, reasons = gallery.people(), {entry.id: entry.reason for entry in watch_list.entries()}
    items: dict[str, ItemOut] = {}
    if wanted:
        page = gallery.items(Filter(ids=frozenset(wanted)), limit=len(wanted))
        items = {item.id: item for item in items_out(gallery, page, people)}
    return [
        schemas.AlertOut.of(
            alert,
            name=people.name(alert.identity),
            reason=reasons[alert.entry],
            item=items[alert.item],
            compared=None if alert.compared is None else items.get(alert.compared),
        )
        for alert in alerts
        if alert.item in items and alert.entry in reasons
    ]


def _receivers(watcher: Watcher) -> dict[str, schemas.ReceiverOut]:
    return {
        sender.receiver.kind: schemas.ReceiverOut.of(sender.state(), host=sender.receiver.host)
        for sender in watcher.senders
    }
