"""Options from a settings file and from the environment, and what `--check` says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line import Run


def table(text: str) -> dict[str, tuple[str, ...]]:
    """Option → (value, where from)."""
    rows = (line.split("  ") for line in text.splitlines()[1:])
    parts = [[part.strip() for part in row if part.strip()] for row in rows]
    return {name: tuple(rest) for name, *rest in parts}


def test_the_command_line_goes_before_the_environment_and_that_before_the_file(
    omnireid: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        "serve:\n  gallery: [door=runs/door, yard=runs/yard]\n  port: 9000\n  host: 127.0.0.3\n"
        "  max-bytes: 5\n  access-log: true\n  camera: ['a=rtsp://u:secret@host/a', 'b=0']\n"
        "gallery:\n  operations: {gallery: runs/door}\n"
    )
    monkeypatch.setenv("OMNIREID_SERVE_HOST", "127.0.0.2")
    monkeypatch.setenv("OMNIREID_SERVE_MAX_BYTES", "6")
    monkeypatch.setenv("OMNIREID_SERVE_PROT", "1")
    done = omnireid("--settings", settings, "--check", "serve", "--max-bytes", 7)
    assert done.code == 0
    used = table(done.out)
    assert used["--gallery"] == ("door=runs/door, yard=runs/yard", "settings file")
    assert used["--camera"] == ("a=rtsp://host/a, b=0", "settings file")
    assert used["--port"] == ("9000", "settings file")
    assert used["--access-log"] == ("True", "settings file")
    assert used["--host"] == ("127.0.0.2", "environment")
    assert used["--max-bytes"] == ("7", "command line")
    assert used["--browser"] == ("False", "default")
    assert used["--tokens"] == ("–", "default")
    assert "OMNIREID_SERVE_PROT: no option of that name" in done.err
    # A command of a group.
    assert table(omnireid("--settings", settings, "--check", "gallery", "operations").out)["--gallery"] == (
        "runs/door", "settings file",
    )  # fmt: skip


def test_check_does_nothing_else(omnireid: Run, tmp_path: Path) -> None:
    assert omnireid("--check", "synth", "--out", tmp_path / "new").code == 0
    assert not (tmp_path / "new").exists()


def test_options_of_a_file_are_really_used(
    omnireid: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("models: {list: {json: true}}\n")
    assert omnireid("--settings", settings, "models", "list").out.startswith("[")
    monkeypatch.setenv("OMNIREID_SETTINGS", str(settings))
    assert omnireid("models", "list").out.startswith("[")


def test_variables_that_images_set_for_themselves_are_no_options(
    omnireid: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMNIREID_VERSION", "0.2.0")
    monkeypatch.setenv("OMNIREID_CHECK", "maybe")
    done = omnireid("recipes", "list")
    assert (done.code, done.err) == (0, "")
    assert "quickstart" in done.out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("serve: {prot: 1}", "unknown option in settings.yaml, serve 'prot': did you mean 'port'?"),
        ("sreve: {port: 1}", "unknown command in settings.yaml 'sreve': did you mean 'serve'?"),
        ("serve: {port: high}", "Invalid value for '--port'"),
        ("serve: {port: [1, 2]}", "settings.yaml, serve, port: one value expected, not a list"),
        ("serve: {port: {a: 1}}", "settings.yaml, serve, port: a value expected, not further keys"),
        ("serve: 3", "settings.yaml, serve: keys with values expected, got 3"),
        ("serve: [", "not a YAML file of settings"),
        ("\x00", "not a YAML file of settings"),
        (None, "settings.yaml: No such file"),
    ],
)
def test_what_cannot_be_used_is_named(
    omnireid: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("settings.yaml").write_text(text)
    done = omnireid("--settings", "settings.yaml", "--check", "serve", "--gallery", "runs/gallery")
    assert done.code == 2
    assert message in " ".join(done.err.split())
