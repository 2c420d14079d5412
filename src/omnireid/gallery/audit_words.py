"""What an entry of the audit says, in words: one sentence, and its details with labels.

The page, the command line and exports all take their words from here. An action that is not known here (of a
later version) still gives a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from omnireid.gallery.audit_reading import AuditEntry

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
    if entry.action not in _ACTIONS:
        return f"{who} did “{entry.action.replace('-', ' ')}” ({entry.count:,})."
    _, say = _ACTIONS[entry.action]
    counted = {word: _plural(entry.count, word) for word in ("alert", "case", "entry", "picture")}
    counted["are"] = "is" if entry.count == 1 else "are"
    return f"{who} {say.format(**counted) if isinstance(say, str) else say(entry.count, entry.detail)}."


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

# What an action is called in a list, and what who does it does: with "{picture}" for as many as it counts.
_ACTIONS: Mapping[str, tuple[str, str | _Say]] = {
    "enrol": ("Pictures added", "added {picture}"),
    "search": ("Search", _search),
    "verify": ("Two pictures compared", "compared two pictures"),
    "name": ("Person named", "changed the name of a person"),
    "merge": (
        "People merged",
        lambda count, _: f"merged {'a person' if count == 1 else f'{count:,} people'} into another",
    ),
    # It counts the new person too.
    "split": (
        "Pictures split off",
        lambda count, _: f"split {_plural(max(0, count - 1), 'picture')} off as a person of their own",
    ),
    "assign": ("Pictures assigned", "changed whom {picture} {are} assigned to"),
    "undo": ("Change undone", "took back an earlier change to people"),
    "forget": ("Forgotten", "had {picture} forgotten for good"),
    "retention": ("Older pictures forgotten", "had {picture} forgotten whose time was up"),
    "set-retention": ("Retention changed", _set_retention),
    "move": ("Move to another model", "began to move the gallery to another model"),
    "abandon-move": ("Move given up", "gave up a move to another model"),
    "backup": ("Backup", "made a backup of the gallery"),
    "copy": ("Copy", "copied the gallery"),
    "export-audit": ("Audit log exported", _export),
    "reject": ("Person ruled out", "said that a picture does not show a person"),
    "unreject": ("Ruling out taken back", "took back that a picture does not show a person"),
    "case-create": ("Case opened", "opened a case"),
    "case-change": ("Case changed", "changed a case's title, reason or end"),
    "case-close": ("Case closed", "closed a case"),
    "case-reopen": ("Case opened again", "opened a closed case again"),
    "case-add": ("Added to a case", "added something to a case"),
    "case-remove": ("Removed from a case", "removed something from a case"),
    "case-export": ("Case exported", "exported a case as a file"),
    "case-delete": ("Case deleted", "deleted {case} for good"),
    "case-end": ("Case ended", "had {case} deleted whose end date had come"),
    "watch": ("Put on the watch list", "put a person on the watch list"),
    "unwatch": ("Taken off the watch list", "took a person off the watch list"),
    "watch-ended": ("Time on the watch list over", "had {entry} taken off the watch list whose time was up"),
    "alert": ("Alert of the watch list", "raised {alert}"),
    "set-camera-groups": ("Groups of cameras changed", "changed the groups of cameras"),
    "set-floor-plan": ("Floor plan changed", "changed the floor plan"),
    "set-camera-pins": ("Cameras placed on the floor plan", "placed cameras on the floor plan"),
    "delete-floor-plan": ("Floor plan deleted", "deleted the floor plan"),
    "look-live": ("Looked through a camera", "looked through a camera as it is now"),
    "answer-alert": (
        "Alert answered",
        lambda _, detail: f"answered an alert: {detail.get('answer') or 'not answered any more'}",
    ),
}

ACTIONS: Mapping[str, str] = {action: title for action, (title, _) in _ACTIONS.items()}
"""Every action that is written, and what it is called in a list."""


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


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
