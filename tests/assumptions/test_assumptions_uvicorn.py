"""What we assume of uvicorn's protocol class, which it does not document."""

from __future__ import annotations

import inspect
import signal

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def test_the_protocol_has_the_steps_that_are_bounded() -> None:
    """`server.connections.BoundedConnection` overrides these, and calls them."""
    steps = {
        "connection_made", "connection_lost", "data_received", "on_message_begin", "on_url", "on_header",
        "on_headers_complete", "on_response_complete", "send_400_response", "pause_writing", "resume_writing",
    }  # fmt: skip
    assert steps <= set(dir(HttpToolsProtocol))
    assert inspect.signature(HttpToolsProtocol.send_400_response).parameters.keys() == {"self", "msg"}


def test_a_signal_ends_a_server_by_one_method_that_may_wait() -> None:
    """`server.running.DrainedServer` calls it later than uvicorn does, from another thread."""
    server = uvicorn.Server(uvicorn.Config("none:app"))
    assert list(inspect.signature(server.handle_exit).parameters) == ["sig", "frame"]
    server.handle_exit(signal.SIGTERM, None)
    assert server.should_exit
    assert not server.force_exit


def test_the_protocol_is_made_from_a_configuration_and_knows_its_connections() -> None:
    """`server.connections` counts `connections`, and uses `loop` and `transport`."""
    config = uvicorn.Config("none:app", http=HttpToolsProtocol)
    source = inspect.getsource(HttpToolsProtocol.__init__)
    for name in ("self.connections", "self.loop", "self.transport"):
        assert name in source, name
    assert config.http is HttpToolsProtocol
