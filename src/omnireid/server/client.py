"""A client of the service, in the words of `Gallery`. Needs neither the server's packages nor a model.

```python
with Client("http://127.0.0.1:8000", token="omnireid_…") as client:
    client.enrol([EnrolItem(image=picture_base64(path), camera="door")])
    found = client.search("somebody.jpg", cameras=["door"])
    print(found.decision, found.candidates[0].item.time)
```
"""

from __future__ import annotations

import base64
import os
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import httpx2
import numpy as np
from pydantic import BaseModel, ValidationError

from omnireid.core.arrays import Float32
from omnireid.core.errors import DiskFullError, InputError, OmniReIDError
from omnireid.server import schemas
from omnireid.server.schemas import EnrolItem, format_time

__all__ = ["Client", "EnrolItem", "Picture", "ServerError", "picture_base64"]

Picture = str | os.PathLike[str] | bytes
"""A file, or the encoded bytes themselves."""

Parsed = TypeVar("Parsed", bound=BaseModel)

_MEANS_INPUT = frozenset({400, 404, 409, 413, 415, 422})
_LONGEST_WAIT_S = 30.0


class ServerError(OmniReIDError):
    """The service refused, failed, or cannot be reached.

    Attributes:
        status: status of HTTP; None where there was no answer.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """Talks to one gallery of a service. Several threads may share it.

    Args:
        url: address of the service, such as "http://127.0.0.1:8000".
        token: where the service asks for one.
        gallery: its name; the service's first by default.
        ca: file of the certificate that vouches for the service's, where no public authority does.
        timeout_s: seconds for each answer.
        retries: how often a request is sent again when the service says it is busy; it says when, too.
        sleep: waits so many seconds.

    Raises (every method):
        InputError: something of the request cannot be used; says what.
        DiskFullError: the service's disk is full.
        ServerError: no token, no permission, too busy, failed, or not there.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        gallery: str | None = None,
        ca: str | os.PathLike[str] | None = None,
        timeout_s: float = 120.0,
        retries: int = 5,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._gallery = gallery
        self._retries = retries
        self._sleep = sleep
        # Proxies of the environment are for the web; pictures of people go straight to the service.
        self._http = httpx2.Client(
            base_url=url,
            headers=headers,
            timeout=timeout_s,
            trust_env=False,
            verify=True if ca is None else _trusting(ca),
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def info(self) -> schemas.Info:
        """Model, galleries, limits, and what this token may do."""
        return self._get(schemas.Info, "/v1/info")

    def embed(self, pictures: Sequence[Picture]) -> Float32:
        """(N, D) float32 of unit norm."""
        body = {"images": [picture_base64(picture) for picture in pictures]}
        return np.array(self._post(schemas.Embeddings, "/v1/embed", body).embeddings, np.float32)

    def enrol(self, items: Iterable[EnrolItem], *, assign: bool = False) -> schemas.EnrolAnswer:
        """Add crops; those that are there already stay as they were.

        Args:
            items: `image` is base64 (`picture_base64`), `time` text (`schemas.format_time`).
            assign: search for each first, and let it take the identity that it is the same as.
        """
        request = schemas.EnrolRequest.model_construct(items=list(items), assign=assign)
        return self._post(
            schemas.EnrolAnswer, "/v1/enrol", request.model_dump(mode="json", exclude_unset=True)
        )

    def search(
        self,
        picture: Picture | None = None,
        *,
        pictures: Sequence[Picture] | None = None,
        item: str | None = None,
        cameras: Sequence[str] = (),
        since: float | None = None,
        until: float | None = None,
        identities: Sequence[str] = (),
        **options: Any,
    ) -> schemas.SearchAnswer:
        """Who is this? Of one picture, the `pictures` of one tracklet, or an item of the gallery.

        Args:
            cameras, identities: candidates are of these; of any when empty.
            since, until: Unix seconds.
            options: other fields of `SearchRequest`: k, exact, group, rerank, attributes, region, embedding,
                model_sha256, false_alarm_rate, prior.
        """
        body: dict[str, Any] = {"cameras": list(cameras), "identities": list(identities), **options}
        if picture is not None:
            body["image"] = picture_base64(picture)
        if pictures is not None:
            body["images"] = [picture_base64(shot) for shot in pictures]
        if item is not None:
            body["item"] = item
        body |= {
            name: format_time(when) for name, when in (("since", since), ("until", until)) if when is not None
        }
        return self._post(schemas.SearchAnswer, "/v1/search", body)

    def verify(self, first: Picture, second: Picture, **options: Any) -> schemas.VerifyAnswer:
        """Do two pictures show the same person?

        Args:
            options: other fields of `VerifyRequest`: activations, false_alarm_rate, prior.
        """
        sides = {"a": {"image": picture_base64(first)}, "b": {"image": picture_base64(second)}}
        return self._post(schemas.VerifyAnswer, "/v1/verify", {**sides, **options})

    def items(self, *, limit: int = 100, **where: Any) -> Iterator[schemas.ItemOut]:
        """Items, the latest first, a page of `limit` at a time.

        Args:
            where: Fields of `ItemsQuery`: cameras, since, until, identities, has_identity.
        """
        for page in self._pages(schemas.ItemsAnswer, "/v1/items", {**where, "limit": limit}):
            yield from page.items

    def item(self, item_id: str) -> schemas.ItemOut:
        """One item."""
        return self._get(schemas.ItemOut, f"/v1/items/{_name(item_id)}")

    def thumbnail(self, item_id: str) -> bytes:
        """The picture that was kept of an item."""
        return self._send("GET", f"/v1/items/{_name(item_id)}/thumbnail").content

    def identities(self, text: str | None = None, *, limit: int = 100) -> Iterator[schemas.IdentityOut]:
        """Identities, those with a name first; with `text` those that have it in their name or id."""
        for page in self._pages(schemas.IdentitiesAnswer, "/v1/identities", {"text": text, "limit": limit}):
            yield from page.identities

    def identity(self, identity: str) -> schemas.IdentityOut:
        """One identity, by any of its ids."""
        return self._get(schemas.IdentityOut, "/v1/identity", {"id": identity})

    def timeline(self, identity: str) -> schemas.TimelineAnswer:
        """Where and when somebody was seen."""
        return self._get(schemas.TimelineAnswer, "/v1/identity/timeline", {"id": identity})

    def name_identity(self, identity: str, name: str | None) -> schemas.OperationOut:
        """Name an identity, or with None take its name away."""
        return self._ask(schemas.OperationOut, "PUT", "/v1/identity", {"id": identity}, {"name": name})

    def merge(self, into: str, identities: Sequence[str]) -> schemas.OperationOut:
        """Say that identities are one person."""
        body = {"into": into, "identities": list(identities)}
        return self._post(schemas.OperationOut, "/v1/identities/merge", body)

    def split(self, item_ids: Sequence[str], name: str | None = None) -> schemas.OperationOut:
        """Make a new identity of some items; it is the operation's `identity`."""
        return self._post(
            schemas.OperationOut, "/v1/identities/split", {"items": list(item_ids), "name": name}
        )

    def assign(self, item_ids: Sequence[str], identity: str | None) -> schemas.OperationOut:
        """Give items an identity, or with None take theirs away."""
        body = {"items": list(item_ids), "identity": identity}
        return self._post(schemas.OperationOut, "/v1/identities/assign", body)

    def undo(self, operation_id: str) -> schemas.OperationOut:
        """Take an operation back."""
        return self._post(schemas.OperationOut, f"/v1/operations/{_name(operation_id)}/undo", None)

    def operations(self, limit: int = 100) -> list[schemas.OperationOut]:
        """What operators did, the latest first."""
        return self._get(schemas.OperationsAnswer, "/v1/operations", {"limit": limit}).operations

    def forget(self, *, identity: str | None = None, item: str | None = None) -> int:
        """Delete somebody, or one item, for good; how many items."""
        if (identity is None) == (item is None):
            raise InputError("forget: name an identity or an item")
        path = "/v1/identity" if item is None else f"/v1/items/{_name(item)}"
        return self._ask(schemas.ForgottenAnswer, "DELETE", path, {"id": identity}).forgotten

    def galleries(self) -> list[schemas.GalleryOut]:
        """What each gallery of the service holds."""
        return self._get(schemas.GalleriesAnswer, "/v1/galleries").galleries

    def build_index(self, gallery: str) -> None:
        """Begin to build the approximate index of a gallery."""
        self._post(schemas.Accepted, f"/v1/galleries/{_name(gallery)}/index", None)

    def set_retention(
        self, gallery: str, default_s: float | None, cameras: Mapping[str, float | None] | None = None
    ) -> schemas.RetentionBody:
        """Set how many seconds items stay; None keeps them."""
        path = f"/v1/galleries/{_name(gallery)}/retention"
        body = {"default_s": default_s, "cameras": dict(cameras or {})}
        return self._ask(schemas.RetentionBody, "PUT", path, body=body)

    def run_retention(self, gallery: str) -> int:
        """Forget what has expired; how many items."""
        path = f"/v1/galleries/{_name(gallery)}/retention/run"
        return self._post(schemas.ForgottenAnswer, path, None).forgotten

    def audit(
        self, *, after: int | None = None, limit: int = 100, latest: bool = False, **where: Any
    ) -> schemas.AuditAnswer:
        """A page of the audit, the oldest entries first; with `latest` the latest. See `Gallery.audit`.

        An answer may hold fewer than `limit` although more follow: `next` says whether.

        Args:
            where: Fields of `AuditSelection`: subject, since, until, action, actor.
        """
        page = {"after": after, "limit": limit, "latest": latest or None}
        return self._get(schemas.AuditAnswer, "/v1/audit", {**where, **page})

    def export_audit(self, format: Literal["jsonl", "csv"] = "jsonl", **where: Any) -> bytes:
        """The audit as a file, all of it or what meets these conditions. See `audit_export.export`.

        Args:
            where: As `audit`.
        """
        return self._send("GET", "/v1/audit/export", {**where, "format": format}).content

    def _pages(self, model: type[Parsed], path: str, query: Mapping[str, Any]) -> Iterator[Parsed]:
        after: str | None = None
        while True:
            page: Any = self._get(model, path, {**query, "after": after})
            yield page
            after = page.next
            if after is None:
                return

    def _get(self, model: type[Parsed], path: str, query: Mapping[str, Any] | None = None) -> Parsed:
        return self._ask(model, "GET", path, query)

    def _post(self, model: type[Parsed], path: str, body: object) -> Parsed:
        return self._ask(model, "POST", path, body=body)

    def _ask(
        self,
        model: type[Parsed],
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: object = None,
    ) -> Parsed:
        response = self._send(method, path, query, body)
        try:
            return model.model_validate_json(response.content)
        except ValidationError as error:
            raise ServerError(f"{self._http.base_url}: not an answer of this version's service") from error

    def _send(
        self, method: str, path: str, query: Mapping[str, Any] | None = None, body: object = None
    ) -> httpx2.Response:
        """Ask in the gallery, without what was not given, and with times as the service reads them."""
        every = {**(query or {}), "gallery": self._gallery}
        given = {name: value for name, value in every.items() if value is not None}
        given |= {name: format_time(given[name]) for name in ("since", "until") if name in given}
        for attempt in range(self._retries + 1):
            try:
                response = self._http.request(method, path, params=given, json=body)
            except UnicodeEncodeError as error:
                raise InputError(f"{error.object!r}: holds half of a surrogate pair") from error
            except httpx2.HTTPError as error:
                raise ServerError(f"{self._http.base_url}: {error or type(error).__name__}") from error
            if response.status_code != 429 or attempt == self._retries:
                break
            self._sleep(_wait_s(response))
        if response.is_success:
            return response
        raise _error_of(response)


def picture_base64(picture: Picture) -> str:
    """A file or encoded bytes as requests hold them.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        content = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
    except OSError as error:
        raise InputError(f"{picture!r}: cannot be read ({error.strerror or error})") from error
    return base64.b64encode(content).decode()


def _trusting(ca: str | os.PathLike[str]) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or error
        raise InputError(
            f"ca {os.fspath(ca)}: cannot be used ({str(reason).lower()}); expected a PEM file of certificates"
        ) from error


def _error_of(response: httpx2.Response) -> OmniReIDError:
    try:
        detail = str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"answered {response.status_code} without saying why; is this an OmniReID service?"
    if response.status_code in _MEANS_INPUT:
        return InputError(detail)
    return DiskFullError(detail) if response.status_code == 507 else ServerError(detail, response.status_code)


def _wait_s(response: httpx2.Response) -> float:
    text = response.headers.get("retry-after", "1")
    return min(float(text), _LONGEST_WAIT_S) if text.isdigit() else 1.0


def _name(text: str) -> str:
    # Half of a surrogate pair is nobody's id, which the service says.
    return quote(text, safe="", errors="surrogatepass")
