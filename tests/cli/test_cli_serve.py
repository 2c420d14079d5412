"""`omnireid serve` and `omnireid token`, as far as they end by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from omnireid.cli.app import app
from omnireid.cli.serve import named_galleries
from omnireid.core.errors import ConfigError, InputError
from omnireid.server.tokens import TokenFile
from toy_people import stripes_onnx


def test_tokens_are_made_listed_and_revoked(tmp_path: Path) -> None:
    file = str(tmp_path / "tokens.json")
    runner = CliRunner()
    made = runner.invoke(app, ["token", "create", "desk", "--scope", "write", "--tokens", file])
    assert made.exit_code == 0, made.output
    text = made.stdout.strip()
    found = TokenFile(file).find(text)
    assert found is not None
    assert found.name == "desk"
    assert runner.invoke(app, ["token", "list", "--tokens", file]).stdout == "name  scope\ndesk  write\n"
    assert runner.invoke(app, ["token", "revoke", "desk", "--tokens", file]).exit_code == 0
    assert runner.invoke(app, ["token", "list", "--tokens", file]).stdout == "name  scope\n"
    gone = runner.invoke(app, ["token", "revoke", "desk", "--tokens", file])
    assert isinstance(gone.exception, InputError)


def test_serving_others_without_tokens_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    arguments = ["serve", "--model", "nothing.onnx", "--gallery", str(tmp_path / "g"), "--host", "0.0.0.0"]
    refused = CliRunner().invoke(app, arguments)
    assert isinstance(refused.exception, ConfigError)
    assert "token create" in str(refused.exception)
    assert not (tmp_path / "g").exists()


def test_a_camera_without_a_name_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    arguments = ["serve", "--model", "nothing.onnx", "--gallery", str(tmp_path / "g"), "--camera", "0"]
    refused = CliRunner().invoke(app, arguments)
    assert isinstance(refused.exception, ConfigError)
    assert "--camera 0: expected NAME=SOURCE" in str(refused.exception)


@pytest.mark.parametrize("site", [False, True])
def test_cameras_need_a_calibration_of_the_model(tmp_path: Path, site: bool) -> None:
    model, plan, gallery = tmp_path / "model.onnx", tmp_path / "site.yaml", tmp_path / "g"
    stripes_onnx(model, 1.0)
    plan.write_text("cameras:\n  yard:\n    source: yard.mp4\n")
    how = ["--site", str(plan)] if site else ["--camera", "yard=yard.mp4"]
    refused = CliRunner().invoke(app, ["serve", "--model", str(model), "--gallery", str(gallery), *how])
    assert isinstance(refused.exception, ConfigError)
    assert "cameras (--camera, --site): the model needs a calibration" in str(refused.exception)
    assert not gallery.exists()


def test_galleries_are_named() -> None:
    assert named_galleries(["runs/gallery"]) == {"default": "runs/gallery"}
    assert named_galleries(["a=runs/a", "b=s3://bucket/b"]) == {"a": "runs/a", "b": "s3://bucket/b"}
    assert named_galleries(["http://host:19530/NAME?x=1"]) == {"default": "http://host:19530/NAME?x=1"}
    with pytest.raises(ConfigError, match="NAME=URI"):
        named_galleries(["a", "b"])
