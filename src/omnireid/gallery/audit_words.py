"""What an entry of the audit says, in words: one sentence, and its details with labels.

The page, the command line and exports all take their words from here. An action that is not known here (of a
later version) still gives a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from omnireid.gallery.audit_reading import AuditEntry

ACTIONS: Mapping[str, str] = {
    "enrol": "Pictures added",
    "search": "Search",
    "verify": "Two pictures compared",
    "name": "Person named",
    "merge": "People merged",
    "split": "Pictures split off",
    "assign": "Pictures assigned",
    "undo": "Change undone",
    "forget": "Forgotten",
    "retention": "Older pictures forgotten",
    "set-retention": "Retention changed",
    "move": "Move to another model",
    "abandon-move": "Move given up",
    "backup": "Backup",
    "copy": "Copy",
    "export-audit": "Audit log exported",
    "reject": "Person ruled out",
    "unreject": "Ruling out taken back",
    "case-create": "Case opened",
    "case-change": "Case changed",
    "case-close": "Case closed",
    "case-reopen": "Case opened again",
    "case-add": "Added to a case",
    "case-remove": "Removed from a case",
    "case-export": "Case exported",
    "case-delete": "Case deleted",
    "case-end": "Case ended",
    "watch": "Put on the watch list",
    "unwatch": "Taken off the watch list",
    "watch-ended": "Time on the watch list over",
    "alert": "Alert of the watch list",
    "answer-alert": "Alert answered",
    "set-camera-groups": "Groups of cameras changed",
    "set-floor-plan": "Floor plan changed",
    "set-camera-pins": "Cameras placed on the floor plan",
    "delete-floor-plan": "Floor plan deleted",
}
"""Every action that is written, and what it is called in a list."""

_DECISIONS = {"same": "likely the same person", "unsure": "unsure", "new": "likely somebody else"}
_CONDITIONS = {
    "cameras": "camera",
    "since": "time",
    "until": "time",
    "identities": "person",
    "has_identity": "assigned or not",
    "attributes": "attributes",
    "tracklets": "tracklet",
    "ids": "picture",
    "enrolled_before": "time of enrolment",
}
_FORMATS = {"csv": "CSV", "jsonl": "JSON Lines with its proof"}
_LABELS = {
    "k": "Candidates asked for",
    "frames": "Pictures searched with",
    "exact": "Compared with every picture",
    "where": "Limited by",
    "false_alarm_rate": "Wanted false-alarm rate",
    "prior": "Chance before looking",
    "decision": "Answer",
    "default_s": "Kept for",
    "model": "Model (its hash begins with)",
    "cameras": "Pictures by camera",
}
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def sentence(entry: AuditEntry) -> str:
    """Who did what, as one sentence: "Maria compared two pictures."."""
    who = {"": "Somebody", "local": "Somebody without a token"}.get(entry.actor, entry.actor)
    say = _SENTENCES.get(entry.action)
    if say is None:
        return f"{who} did “{entry.action.replace('-', ' ')}” ({entry.count:,})."
    return f"{who} {say(entry.count, entry.detail)}."


def facts(entry: AuditEntry) -> list[tuple[str, str]]:
    """Label and value of each detail that is known; nothing of it names a person."""
    rows = []
    for name, value in entry.detail.items():
        if value is None and name == "default_s":
            rows.append((_LABELS[name], "until forgotten by hand"))
        elif value not in (None, "", [], {}):
            label = _LABELS.get(name) or name.replace("_", " ").replace("-", " ").capitalize()
            rows.append((label, _value(name, value)))
    return rows


def _search(count: int, detail: Mapping[str, Any]) -> str:
    frames = detail.get("frames") or 1
    conditions = _conditions(detail.get("where") or ())
    through = f"pictures limited by {conditions}" if conditions else "everybody"
    decision = detail.get("decision")
    answer = "the answer was scores only" if decision is None else f"the answer was “{_decision(decision)}”"
    pictures = "one picture" if frames == 1 else f"{frames:,} pictures of one person"
    return f"searched with {pictures} through {through}; {answer}"


def _set_retention(count: int, detail: Mapping[str, Any]) -> str:
    seconds = detail.get("default_s")
    kept = "until they are forgotten by hand" if seconds is None else f"for {_duration(seconds)}"
    own = f", with times of their own for {_plural(count, 'camera')}" if count else ""
    return f"had pictures kept {kept}{own}"


def _export(count: int, detail: Mapping[str, Any]) -> str:
    limited = " and ".join(detail.get("conditions") or ())
    shape = _FORMATS.get(str(detail.get("format")), detail.get("format"))
    return f"exported the audit log as {shape}, {f'limited by {limited}' if limited else 'all of it'}"


_Say = Callable[[int, Mapping[str, Any]], str]

_SENTENCES: Mapping[str, _Say] = {
    "enrol": lambda count, _: f"added {_plural(count, 'picture')}",
    "search": _search,
    "verify": lambda *_: "compared two pictures",
    "name": lambda *_: "changed the name of a person",
    "merge": lambda count, _: f"merged {'a person' if count == 1 else f'{count:,} people'} into another",
    # It counts the new person too.
    "split": lambda count, _: f"split {_plural(max(0, count - 1), 'picture')} off as a person of their own",
    "assign": lambda count, _: f"changed whom {_plural(count, 'picture')} {_are(count)} assigned to",
    "undo": lambda *_: "took back an earlier change to people",
    "forget": lambda count, _: f"had {_plural(count, 'picture')} forgotten for good",
    "retention": lambda count, _: f"had {_plural(count, 'picture')} forgotten whose time was up",
    "set-retention": _set_retention,
    "move": lambda *_: "began to move the gallery to another model",
    "abandon-move": lambda *_: "gave up a move to another model",
    "backup": lambda *_: "made a backup of the gallery",
    "copy": lambda *_: "copied the gallery",
    "export-audit": _export,
    "reject": lambda *_: "said that a picture does not show a person",
    "unreject": lambda *_: "took back that a picture does not show a person",
    "case-create": lambda *_: "opened a case",
    "case-change": lambda *_: "changed a case's title, reason or end",
    "case-close": lambda *_: "closed a case",
    "case-reopen": lambda *_: "opened a closed case again",
    "case-add": lambda *_: "added something to a case",
    "case-remove": lambda *_: "removed something from a case",
    "case-export": lambda *_: "exported a case as a file",
    "case-delete": lambda count, _: f"deleted {_plural(count, 'case')} for good",
    "case-end": lambda count, _: f"had {_plural(count, 'case')} deleted whose end date had come",
    "watch": lambda *_: "put a person on the watch list",
    "unwatch": lambda *_: "took a person off the watch list",
    "watch-ended": lambda count, _: (
        f"had {_plural(count, 'entry')} taken off the watch list whose time was up"
    ),
    "alert": lambda count, _: f"raised {_plural(count, 'alert')}",
    "set-camera-groups": lambda *_: "changed the groups of cameras",
    "set-floor-plan": lambda *_: "changed the floor plan",
    "set-camera-pins": lambda *_: "placed cameras on the floor plan",
    "delete-floor-plan": lambda *_: "deleted the floor plan",
    "answer-alert": lambda _, detail: f"answered an alert: {detail.get('answer') or 'not answered any more'}",
}


def _value(name: str, value: Any) -> str:
    if name == "decision":
        return _decision(value)
    if name == "where":
        return _conditions(value)
    if name == "format":
        return _FORMATS.get(str(value), str(value))
    if name.endswith("_s") and _is_number(value):
        return _duration(value)
    if name.endswith(("rate", "prior", "probability")) and _is_number(value):
        return f"{100 * value:.3g} %"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key or 'camera unknown'}: {_value('', inner)}" for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_value("", element) for element in value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _decision(name: str) -> str:
    return _DECISIONS.get(name, name)


def _conditions(names: Sequence[str]) -> str:
    return " and ".join(dict.fromkeys(_CONDITIONS.get(name, name.replace("_", " ")) for name in names))


def _duration(seconds: float) -> str:
    size, unit = next((step for step in _UNITS if seconds >= step[0]), _UNITS[-1])
    return _plural(round(seconds / size, 1), unit)


def _plural(count: float, word: str) -> str:
    many = f"{word[:-1]}ies" if word.endswith("y") and word != "day" else f"{word}s"
    return f"{'one' if count == 1 else f'{count:,.10g}'} {word if count == 1 else many}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
