"""The page's files. Only names that were there at the start are served: no path leads out of the folder."""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path

from fastapi import APIRouter, Request, Response

from omnireid.server.problems import Problem

FOLDER = Path(__file__).parent / "page"


def page_router(folder: Path = FOLDER) -> APIRouter:
    """`GET /` and `GET /assets/…`."""
    files = {
        path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()
    }
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def index(request: Request) -> Response:
        return _file(request, files, "index.html")

    @router.get("/assets/{name:path}")
    def asset(request: Request, name: str) -> Response:
        return _file(request, files, name)

    return router


def _file(request: Request, files: dict[str, Path], name: str) -> Response:
    if name not in files:
        raise Problem(404, "no such file of the page")
    content = files[name].read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in request.headers.get("if-none-match", ""):  # one of several, or weakened by a proxy
        return Response(status_code=304, headers=headers)
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(content, headers=headers, media_type="text/javascript" if name.endswith(".js") else kind)
