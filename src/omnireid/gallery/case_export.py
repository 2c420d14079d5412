"""A case as one HTML file that a browser alone shows and checks, and any server of OmniReID too.

The file holds the case as JSON text, the SHA-256 of that text, and a small script that shows the one and
computes the other anew. What is shown is made of the text: whoever changes a number or a picture changes the
hash. Whoever changes the text, the hash and the script makes a file that looks whole: only the audit log of
the gallery that exported it can tell, which holds the hash (`Check.exported_here`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from omnireid import __version__
from omnireid.core.closed import ClosedModel
from omnireid.core.errors import InputError
from omnireid.gallery.audit_reading import AuditFilter
from omnireid.gallery.case_entries import Case, Entry, Moment, iso_time
from omnireid.gallery.case_records import pictures_in, pictures_of
from omnireid.gallery.retention import DAY_S

if TYPE_CHECKING:
    from omnireid.gallery.gallery import Gallery

FORMAT, VERSION = "omnireid-case", 1

_PAYLOAD = re.compile(r'<script type="application/json" id="case">\n(.*?)\n</script>', re.DOTALL)
_STATED = re.compile(r'<meta name="omnireid-sha256" content="([0-9a-f]{64})">')
_FOLDER = Path(__file__).parent / "case_file"


class _Picture(ClosedModel):
    media: Literal["image/jpeg", "image/png"]
    content: str


class _Payload(ClosedModel):
    """What a file holds."""

    format: Literal["omnireid-case"]
    version: Literal[1]
    omnireid: str
    gallery: str
    exported: Moment
    exported_by: str
    case: Case
    entries: list[Entry]
    pictures: dict[str, _Picture]
    audit: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Export:
    """A file.

    Attributes:
        name: file name that it can be saved under.
        content: HTML.
        sha256: of the case's text in it.
    """

    name: str
    content: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ExportedHere:
    """What the audit log says of an export."""

    time: float
    actor: str
    gallery: str


@dataclass(frozen=True, slots=True)
class Check:
    """Whether an exported file is as it was.

    Attributes:
        sha256: of the case's text, computed now.
        stated: what the file claims.
        is_own_page: whether all around the text is as this version of OmniReID writes it. Where it is not,
            the file may show something else than it holds: look at `payload`.
        exported_here: the gallery that exported it, of those that were asked; None where none of them has
            exported it.
        payload: what the file holds.
    """

    sha256: str
    stated: str
    is_own_page: bool
    exported_here: ExportedHere | None
    payload: Mapping[str, Any]

    @property
    def is_unchanged(self) -> bool:
        """Whether the case's text is the one that the file was written with."""
        return self.sha256 == self.stated


def export_case(gallery: Gallery, case: Case, entries: Sequence[Entry], name: str) -> Export:
    """Make the file of a case; the caller writes its hash into the audit.

    Args:
        name: what the gallery is called; "" where it has no name.
    """
    store = gallery.store
    dumped = [entry.model_dump(mode="json") for entry in entries]
    used = {number for entry in dumped for number in pictures_in(entry)}
    kept = store.records(pictures_of(case.id))
    now = gallery.clock()
    payload = {
        "format": FORMAT,
        "version": VERSION,
        "omnireid": __version__,
        "gallery": name,
        "exported": iso_time(now),
        "exported_by": gallery.actor,
        "case": case.model_dump(mode="json"),
        "entries": dumped,
        "pictures": {digest: kept[digest] for digest in sorted(used & kept.keys())},
        "audit": _audit(gallery, case, entries),
    }
    # ASCII on one line: no reader of HTML changes a byte of it.
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), allow_nan=False)
    content = _rendered(text.replace("<", "\\u003c"))
    return Export(f"case-{case.id}-{iso_time(now)[:10]}.html", content, _sha256(text.replace("<", "\\u003c")))


def check_file(content: str, galleries: Sequence[Gallery], names: Sequence[str] = ()) -> Check:
    """Compute the hash of an exported file, and ask galleries whether it is theirs.

    Args:
        content: content of the file.
        galleries: galleries whose audit logs are asked.
        names: names of these galleries; by default where they are kept.

    Raises:
        InputError: no exported case, or of a later version.
    """
    # A mail or an editor may have changed line ends, which is no change of the case.
    content = content.removeprefix("\ufeff").replace("\r\n", "\n")
    body, stated = _PAYLOAD.search(content), _STATED.search(content)
    if body is None or stated is None:
        raise InputError(
            "file: not a case that OmniReID has exported, or cut off; expected the HTML file itself"
        )
    text = body[1]
    sha256 = _sha256(text)
    try:
        # Its parser bounds the depth, which `json` does not.
        payload = _Payload.model_validate_json(text)
    except ValidationError as error:
        why = (
            "of a later version of OmniReID"
            if sha256 == stated[1]
            else "changed or damaged since it was exported"
        )
        where = ".".join(map(str, error.errors()[0]["loc"])) or "the case"
        raise InputError(f"file: cannot be read ({where}): it is {why}") from error
    here = None
    for index, gallery in enumerate(galleries):
        name = names[index] if names else gallery.uri
        here = here or _exported(gallery, sha256, payload.exported, name)
    is_own_page = content.strip() == _rendered(text).replace(sha256, stated[1]).strip()
    return Check(sha256, stated[1], is_own_page, here, json.loads(text))


def _exported(gallery: Gallery, sha256: str, exported: float, name: str) -> ExportedHere | None:
    # It cannot be older than the file; a day for clocks that were set.
    where = AuditFilter(action="case-export", since=exported - DAY_S)
    for entry in gallery.log.find(where, limit=sys.maxsize, latest=True).entries:
        if entry.detail.get("sha256") == sha256:
            return ExportedHere(entry.time, entry.actor, name)
    return None


def _audit(gallery: Gallery, case: Case, entries: Sequence[Entry]) -> dict[str, Any]:
    """The entries of the audit that are about a case, with their links, and what checking all of it found."""
    subject = gallery.log.subject(case.id)
    proofs = {entry.proof.hash for entry in entries if entry.proof is not None}
    concerned = [
        {**raw, "time": iso_time(raw["time"])}
        for raw in gallery.store.audit()
        if subject in raw.get("subjects", ()) or raw.get("hash") in proofs
    ]
    verified = gallery.verify_audit()
    return {
        "subject": subject,
        "entries": concerned,
        "checked": verified.entries,
        "problems": list(verified.problems),
        "open_chains": verified.open_chains,
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@cache
def _parts() -> tuple[str, str, str]:
    return tuple(  # type: ignore[return-value]
        (_FOLDER / name).read_text("utf-8") for name in ("case.html", "case.css", "case.js")
    )


def _rendered(text: str) -> str:
    page, style, script = _parts()
    # Nothing but this very script runs, and nothing is loaded from anywhere.
    script = f"\n{script}"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    values = {
        "%SCRIPT-SHA256%": digest,
        "%SHA256%": _sha256(text),
        "%STYLE%": style,
        "%SCRIPT%": script,
        # Last: whatever stands in it stays.
        "%CASE%": text,
    }
    for mark, value in values.items():
        head, tail = page.split(mark)
        page = head + value + tail
    return page
