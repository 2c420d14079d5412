"""Token files: what is kept, who may read it, and revoking under a running server."""

from __future__ import annotations

import hashlib
import json
import stat
import threading
from pathlib import Path

import pytest

from omnireid.core.errors import ConfigError, InputError
from omnireid.server import tokens as module
from omnireid.server.running import check_bind, is_loopback, listen
from omnireid.server.tokens import TokenFile


def test_only_hashes_are_kept_and_only_the_owner_may_read(tmp_path: Path) -> None:
    file = TokenFile(tmp_path / "tokens.json")
    text = file.create("desk", "write")
    kept = file.path.read_text()
    assert text not in kept
    assert json.loads(kept)["tokens"][0]["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert len(text) > 43
    found = file.find(text)
    assert found is not None
    assert (found.name, found.scopes) == ("desk", ("read", "write"))
    assert file.find(text + "x") is None
    file.path.chmod(0o640)
    with pytest.raises(InputError, match="chmod 600"):
        file.tokens()


def test_names_are_taken_once_and_unknown_ones_are_named(tmp_path: Path) -> None:
    file = TokenFile(tmp_path / "tokens.json")
    file.create("desk", "read")
    with pytest.raises(InputError, match="'desk' already"):
        file.create("desk", "admin")
    with pytest.raises(InputError, match="Known: desk"):
        file.revoke("door")
    with pytest.raises(InputError, match="name: "):
        file.create("", "read")
    file.path.write_text("{")
    with pytest.raises(InputError, match="not a token file"):
        file.tokens()


def test_a_revoked_token_is_refused_by_who_has_read_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK_AGAIN_S", 0.0)
    file, server = TokenFile(tmp_path / "tokens.json"), TokenFile(tmp_path / "tokens.json")
    text = file.create("desk", "read")
    assert server.find(text) is not None
    file.revoke("desk")
    assert server.find(text) is None


def test_tokens_made_at_once_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    threads = [threading.Thread(target=TokenFile(path).create, args=(f"t{n}", "read")) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.name for one in TokenFile(path).tokens()} == {f"t{n}" for n in range(12)}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com"])
def test_other_machines_are_served_with_tokens_only(tmp_path: Path, host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(ConfigError, match="omnireid token create"):
        check_bind(host, None)
    file = TokenFile(tmp_path / "tokens.json")
    with pytest.raises(ConfigError, match="holds no token"):
        check_bind(host, file)
    file.create("desk", "read")
    check_bind(host, file)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_is_served_without(host: str) -> None:
    assert is_loopback(host)
    check_bind(host, None)


def test_a_port_that_is_taken_is_named() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(ConfigError, match="choose another"):
        listen("127.0.0.1", taken.getsockname()[1])
