"""What a user may choose, here and in the `options` of other parts: choices, and the defaults of all doors.

The command line reads them before it does anything, so these modules import nothing that takes time.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

from omnireid.core.errors import UnknownNameError

OnBad = Literal["error", "skip"]
"""Of a picture that cannot be decoded: the work stops, or the picture is left out and named."""


class Protocol(str, Enum):
    """Which gallery items count for a query.

    MARKET1501: same pid and same camid is junk (Zheng et al., ICCV 2015).
    SINGLE_GALLERY_SHOT: the same, then one random gallery image per identity, ten draws (CUHK03 classic).
    NO_CAMERA: camera ids are ignored; only the query's own file is junk. For data without cameras.
    CLASSES: no search for people: the gallery has one item for each class, which a network's classifier
        ranks for each query. Rank-k is then top-k accuracy.
    ATTRIBUTES: no search either: what a network's classifier says of each query's attributes; no gallery.
    """

    MARKET1501 = "market1501"
    SINGLE_GALLERY_SHOT = "single-gallery-shot"
    NO_CAMERA = "no-camera"
    CLASSES = "classes"
    ATTRIBUTES = "attributes"

    @property
    def uses_cameras(self) -> bool:
        """Whether a match has to be of another camera than its query."""
        return self not in (Protocol.NO_CAMERA, Protocol.CLASSES, Protocol.ATTRIBUTES)

    @property
    def is_of_classifier(self) -> bool:
        """Whether what is scored is what a network's classifier says, instead of its embeddings."""
        return self in (Protocol.CLASSES, Protocol.ATTRIBUTES)

    @classmethod
    def named(cls, name: Protocol | str) -> Protocol:
        """The protocol of a name, or of itself.

        Raises:
            UnknownNameError: There is none.
        """
        try:
            return cls(name)
        except ValueError:
            raise UnknownNameError("protocol", str(name), [known.value for known in cls]) from None
