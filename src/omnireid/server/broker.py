"""An MQTT broker as a receiver of alerts: each is published at least once, to a topic of its gallery."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import unquote, urlsplit

from omnireid.core.errors import ConfigError, MissingExtraError
from omnireid.server.telling import Outcome

PASSWORD_VARIABLE = "OMNIREID_MQTT_PASSWORD"
_TIMEOUT_S = 5.0
_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True, repr=False)
class Broker:
    """Where alerts are published.

    Attributes:
        address: host and port; `is_plain`: without TLS, so that anybody on the way can read it.
        topic: before the gallery's name and "alerts".
        user, password: who we are; "" where nobody asks.
    """

    host: str
    port: int
    is_plain: bool
    topic: str
    user: str
    password: str
    kind: ClassVar[Literal["broker"]] = "broker"

    @classmethod
    def of(
        cls,
        url: str,
        password_file: str | os.PathLike[str] | None,
        environment: Mapping[str, str] = os.environ,
    ) -> Broker:
        """From what `omnireid serve` is given.

        Args:
            url: "mqtts://USER@HOST:PORT/TOPIC"; user, port and topic may be left out.
            password_file: a file that holds the password; by default it is in `OMNIREID_MQTT_PASSWORD`.

        Raises:
            ConfigError: no such address, a password in it, or a file that cannot be read.
            MissingExtraError: paho-mqtt is not installed.
        """
        expected = "--mqtt: expected an address such as mqtts://broker.example.org/site"
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS[parts.scheme]
        except (KeyError, ValueError):
            raise ConfigError(expected) from None
        topic = unquote(parts.path.strip("/")) or "omnireid"
        if not parts.hostname or "#" in url or "?" in url or re.search(r"[+#\0]", topic):
            raise ConfigError(expected)
        if parts.password:
            raise ConfigError(
                f"--mqtt: no password in the address, which others can see; set {PASSWORD_VARIABLE} or "
                "--mqtt-password-file"
            )
        try:
            password = Path(password_file).read_text().strip() if password_file else None
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"{password_file}: cannot be read ({reason})") from error
        _paho()
        return cls(
            parts.hostname,
            port,
            parts.scheme == "mqtt",
            topic,
            unquote(parts.username or ""),
            environment.get(PASSWORD_VARIABLE, "") if password is None else password,
        )

    @property
    def key(self) -> str:
        """By which the gallery remembers how far this one was told."""
        where = f"mqtt {self.host}:{self.port}/{self.topic}"
        return hashlib.blake2b(where.encode(), digest_size=8).hexdigest()

    def connect(self) -> Publisher:
        """A way to it; nothing is sent yet."""
        return Publisher(self)

    def __repr__(self) -> str:
        return f"Broker({self.host!r})"


class Publisher:
    """Publishes messages, each until the broker says that it has it. After a failure it connects anew."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._client: Any = None

    def send(self, gallery: str, delivery: str, body: bytes, now: float) -> Outcome:
        """As `Line.send`."""
        topic = f"{self._broker.topic}/{re.sub(r'[+#/]', '_', gallery)}/alerts"
        try:
            client = self._connected()
            told = client.publish(topic, body, qos=1)
            told.wait_for_publish(_TIMEOUT_S)
            failure = "" if told.is_published() else f"not taken within {_TIMEOUT_S:g} s"
        except (OSError, RuntimeError, ValueError) as error:
            failure = str(error) or type(error).__name__
        if failure:
            self.close()
        return Outcome(failure)

    def close(self) -> None:
        """End the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()

    def _connected(self) -> Any:
        """A client that is connected.

        Raises:
            OSError: the broker does not answer, or refuses us.
        """
        if self._client is not None and self._client.is_connected():
            return self._client
        self.close()
        mqtt = _paho()
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        client.connect_timeout = _TIMEOUT_S
        if self._broker.user:
            client.username_pw_set(self._broker.user, self._broker.password or None)
        if not self._broker.is_plain:
            client.tls_set()
        answered, answers = threading.Event(), []

        def on_connect(_client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            answers.append(reason)
            answered.set()

        client.on_connect = on_connect
        client.connect(self._broker.host, self._broker.port, keepalive=30)
        self._client = client
        client.loop_start()
        if not answered.wait(_TIMEOUT_S):
            raise OSError(f"no answer within {_TIMEOUT_S:g} s")
        if answers[0].is_failure:
            raise OSError(f"refused: {answers[0]}")
        return client


def _paho() -> Any:
    try:
        from paho.mqtt import client
    except ImportError as error:
        raise MissingExtraError("Publishing alerts (paho-mqtt)", "mqtt") from error
    return client
