"""Alerts to an MQTT broker: a real mosquitto on loopback that is stopped and started again."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from omnireid.core.errors import ConfigError
from omnireid.server.broker import Broker
from omnireid.server.telling import Sender
from omnireid.server.watching import message
from server.test_server_webhook import come, watched

mqtt = pytest.importorskip("paho.mqtt.client")
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
NEEDS_MOSQUITTO = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed: no MQTT broker")
SOON_S = 30.0


@contextmanager
def broker(folder: Path, port: int) -> Iterator[None]:
    """A broker that knows one user."""
    (folder / "users").write_text("desk:s3cret\n")
    subprocess.run(["mosquitto_passwd", "-U", folder / "users"], check=True)
    (folder / "users").chmod(0o600)
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {folder / 'users'}\nuser root\n"
    )
    assert MOSQUITTO is not None
    process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + SOON_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.02)
        yield
    finally:
        process.kill()
        process.wait()


class Desk:
    """Somebody who listens."""

    def __init__(self, port: int) -> None:
        self.got: list[tuple[str, dict[str, Any]]] = []
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._client.username_pw_set("desk", "s3cret")
        listens = threading.Event()
        self._client.on_message = lambda _c, _d, told: self.got.append((told.topic, json.loads(told.payload)))
        self._client.on_subscribe = lambda *_: listens.set()
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("site/#", qos=1)
        self._client.loop_start()
        assert listens.wait(SOON_S)

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + SOON_S
        while len(self.got) < count:
            assert time.monotonic() < deadline, self.got
            time.sleep(0.02)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@NEEDS_MOSQUITTO
def test_alerts_reach_a_broker_and_wait_while_it_is_away(tmp_path: Path) -> None:
    gallery, watch_list = watched()
    port = 20_000 + time.monotonic_ns() % 20_000
    receiver = Broker.of(f"mqtt://desk@127.0.0.1:{port}/site", None, {"OMNIREID_MQTT_PASSWORD": "s3cret"})
    sender = Sender(receiver, watch_list, "main", message, clock=gallery.clock, draw=lambda: 1.0)
    sender.step()  # remembers where it begins
    with broker(tmp_path, port):
        desk = Desk(port)
        item = come(gallery, watch_list, "k1")
        sender.step()
        desk.wait_for(1)
        topic, told = desk.got[0]
        assert topic == "site/main/alerts"
        assert (told["item"], told["identity"], told["camera"]) == (item, "p1", "door")
        assert told["link"] == "#/watch?gallery=main"
        assert {"probability", "false_alarm_rate"} <= told.keys()
        assert "Ada" not in json.dumps(told)
        desk.close()
    come(gallery, watch_list, "k2")
    sender.step()
    state = sender.state()
    assert (state.waiting, state.failures) == (1, 1)
    assert state.failure
    with broker(tmp_path, port):
        desk = Desk(port)
        gallery.clock.now += 10  # type: ignore[attr-defined]
        sender.step()
        desk.wait_for(1)
        assert [told["seq"] for _, told in desk.got] == [2]
        assert sender.state().waiting == 0
        # Who we are is wrong: nothing is told, and nothing is lost.
        stranger = Broker("127.0.0.1", port, True, "other", "desk", "wrong")
        refused = Sender(stranger, watch_list, "main", message, clock=gallery.clock)
        refused.step()
        come(gallery, watch_list, "k3")
        refused.step()
        assert "refused" in refused.state().failure
        refused.stop()
        desk.close()
    sender.stop()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mqtt://desk:s3cret@host/site", "no password in the address"),
        ("http://host/site", "expected an address"),
        ("mqtt:///site", "expected an address"),
        ("mqtt://host/site/#", "expected an address"),
        ("mqtt://host:port/", "expected an address"),
        ("mqtts://host/+/a", "expected an address"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as error:
        Broker.of(url, None, {})
    assert "s3cret" not in str(error.value)


def test_an_address_says_all_but_the_password(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from a file\n")
    known = Broker.of("mqtts://desk%40x@broker.local/a/b/", tmp_path / "password", {})
    assert (known.host, known.port, known.topic, known.is_plain) == ("broker.local", 8883, "a/b", False)
    assert (known.user, known.password) == ("desk@x", "from a file")
    assert "file" not in repr(known)
    assert Broker.of("mqtt://h", None, {}).topic == "omnireid"
    with pytest.raises(ConfigError, match="cannot be read"):
        Broker.of("mqtt://h", tmp_path / "none", {})
    (tmp_path / "password").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        Broker.of("mqtt://h", tmp_path / "password", {})
