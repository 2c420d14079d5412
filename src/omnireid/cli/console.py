"""Where output goes: results on stdout, progress and messages on stderr."""

from __future__ import annotations

from rich.console import Console

stdout = Console(soft_wrap=True, highlight=False)
stderr = Console(stderr=True, soft_wrap=True, highlight=False)
