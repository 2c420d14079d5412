"""The curl examples of docs/guides/service/serving.md, run against a real server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from documentation import blocks
from server.live_server import live_server
from server.toy_service import person


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_every_curl_example_answers_what_it_says(tmp_path: Path, model_file: Path) -> None:
    shown = blocks("guides/service/serving.md", language="bash")
    examples = [
        part for block in shown if "$URL" in block for part in re.split(r"\n\n", block) if "curl" in part
    ]
    assert len(examples) == 7
    (tmp_path / "ada.jpg").write_bytes(person(1))
    answers = []
    with live_server(tmp_path, model_file) as live:
        for example in examples:
            done = subprocess.run(
                ["bash", "-c", example],
                cwd=tmp_path,
                env={**os.environ, "URL": live.url},
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, (example, done.stderr)
            answers.append(json.loads(done.stdout))
    enrolled, found, named, timeline, forgotten, again, with_bag = answers
    assert enrolled["items"][0]["identity"] == "p1"
    assert found["candidates"][0]["item"]["time"] == "2026-03-01T11:00:00Z"
    assert named["kind"] == "name"
    assert timeline["name"] == "Ada"
    assert timeline["cameras"][0]["camera"] == "door"
    assert forgotten == {"forgotten": 1}
    assert again["items"][0]["is_new"] is True
    assert [one["item"]["camera"] for one in with_bag["candidates"]] == ["yard"]
