"""Where output goes: results on stdout, progress and messages on stderr."""

from __future__ import annotations

from rich.console import Console

# Texts of users are printed as they are: ":cat:" is no picture of a cat.
stdout = Console(soft_wrap=True, highlight=False, emoji=False)
stderr = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)
