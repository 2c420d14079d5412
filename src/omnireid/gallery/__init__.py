"""The identity gallery: enrol, search, decide, and forget for good.

```python
from omnireid.gallery import Filter, Gallery, Item, ModelRef
```
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omnireid.gallery.gallery import Gallery as Gallery
    from omnireid.gallery.generations import ModelRef as ModelRef
    from omnireid.gallery.items import Box as Box
    from omnireid.gallery.items import Filter as Filter
    from omnireid.gallery.items import Item as Item

_HOMES = {
    "Box": "items",
    "Filter": "items",
    "Gallery": "gallery",
    "Item": "items",
    "ModelRef": "generations",
}

__all__ = ["Box", "Filter", "Gallery", "Item", "ModelRef"]


def __getattr__(name: str) -> Any:
    # Arrow and the store are loaded by who uses them.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"omnireid.gallery.{_HOMES[name]}"), name)
