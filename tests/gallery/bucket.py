"""An S3 server in a thread of the test: moto's, with atomic conditional writes, and requests counted."""

from __future__ import annotations

import itertools
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

BUCKET = "people"
KEYS = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}


class Bucket:
    """A server with one bucket.

    Attributes:
        url: address of the server.
        options: LanceDB's settings for it; `environment` says the same in variables.
        requests: how many of each method came.
        intercept: is given a request's WSGI environment before it is carried out; may change it, wait, or
            have it answered by a status: `environ["omnireid.status"]`.
    """

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._serve = DomainDispatcherApplication(create_backend_app)
        # moto looks whether an object is there and writes it in two steps.
        self._writing = threading.Lock()
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.options = {**KEYS, "region": "us-east-1", "endpoint": self.url, "allow_http": "true"}
        self.requests: Counter[str] = Counter()
        self.intercept: Callable[[dict[str, Any]], None] = lambda environ: None
        self.environment = {
            **{name.upper(): value for name, value in KEYS.items()},
            "AWS_REGION": "us-east-1", "AWS_ENDPOINT": self.url, "AWS_ALLOW_HTTP": "true",
        }  # fmt: skip
        self._names = itertools.count()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._client = boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", **KEYS)
        self._client.create_bucket(Bucket=BUCKET)

    def new_place(self) -> str:
        """Address of a gallery that is not there yet."""
        return f"s3://{BUCKET}/place{next(self._names)}"

    def objects(self, place: str) -> dict[str, bytes]:
        """All that lies below an address, by key."""
        prefix = place.removeprefix(f"s3://{BUCKET}/")
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return {key: self._client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}

    def close(self) -> None:
        self._server.shutdown()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        self.requests[method] += 1
        self.intercept(environ)
        if status := environ.get("omnireid.status"):
            start_response(status, [("Content-Length", "0")])
            return []
        if method in ("GET", "HEAD"):
            return list(self._serve(environ, start_response))
        with self._writing:
            return list(self._serve(environ, start_response))
