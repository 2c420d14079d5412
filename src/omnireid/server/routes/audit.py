"""The audit: who did what, by person, time, action and actor, and as a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from omnireid.gallery.audit import AuditEntry, AuditFilter
from omnireid.gallery.audit_export import export
from omnireid.gallery.audit_words import ACTIONS, facts, sentence
from omnireid.gallery.gallery import Gallery
from omnireid.server import schemas
from omnireid.server.routes.access import Admin, ServiceOf

router = APIRouter(tags=["audit"])

MOST_LOOKED = 20_000
"""Entries that one request reads where a filter picks few of them; `next` goes on behind them."""

_TYPES = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
_CHUNK = 1 << 16


@router.get(
    "/v1/audit",
    summary="Who enrolled, searched, changed and forgot; the oldest first, or the `latest`",
    description=(
        "Entries that meet every condition. People are keyed hashes; with `subject`, the id of a person or "
        "of a picture, the entries about them. Where few entries meet the conditions an answer may be "
        "short, or empty, although more follow: go on with `after` as long as `next` is not null."
    ),
)
def audit(query: Annotated[schemas.AuditQuery, Query()], service: ServiceOf, _: Admin) -> schemas.AuditAnswer:
    name, gallery = query.gallery or next(iter(service.galleries), ""), service.gallery(query.gallery)
    page = gallery.log.find(
        _filter(gallery, query),
        after=query.after,
        limit=query.limit,
        latest=query.latest,
        most_looked=MOST_LOOKED,
    )
    return schemas.AuditAnswer(
        entries=[_entry_out(name, entry) for entry in page.entries],
        next=page.next,
        looked=page.looked,
        looked_to=page.looked_to,
        actions=dict(ACTIONS),
    )


@router.get(
    "/v1/audit/export",
    summary="The audit as a file: CSV to read, or JSON Lines with a proof that can be checked alone",
    description=(
        "Entries that meet every condition, the oldest first, and last the entry about this export. "
        "`omnireid gallery verify-audit FILE` checks a file of JSON Lines."
    ),
    response_class=StreamingResponse,
    responses={
        200: {"content": {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in _TYPES.values()}}
    },
)
def export_audit(
    query: Annotated[schemas.AuditExportQuery, Query()], service: ServiceOf, caller: Admin
) -> StreamingResponse:
    name, gallery = query.gallery or next(iter(service.galleries), ""), service.gallery(query.gallery, caller)
    lines = export(gallery, _filter(gallery, query), query.format, name=name)
    return StreamingResponse(
        _chunks(lines),
        media_type=_TYPES[query.format],
        headers={"Content-Disposition": f'attachment; filename="audit.{query.format}"'},
    )


def _filter(gallery: Gallery, query: schemas.AuditSelection) -> AuditFilter:
    return gallery.audit_filter(
        query.subject, since=query.since, until=query.until, action=query.action, actor=query.actor
    )


def _entry_out(gallery: str, entry: AuditEntry) -> schemas.AuditEntryOut:
    return schemas.AuditEntryOut.of(
        entry,
        gallery=gallery,
        summary=sentence(entry),
        facts=[schemas.AuditFactOut(label=label, value=value) for label, value in facts(entry)],
    )


def _chunks(lines: Iterable[str]) -> Iterator[bytes]:
    """Some lines at a time: each chunk goes through a thread."""
    held, size = [], 0
    for line in lines:
        held.append(line.encode())
        size += len(held[-1])
        if size >= _CHUNK:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)
