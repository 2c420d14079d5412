"""What `deploy/` has: commands that exist, probes and metrics that are there, and no open door."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.testclient import TestClient

from command_line import Run
from server.toy_service import service

DEPLOY = Path(__file__).parents[2] / "deploy"
SETTINGS = "/etc/omnireid/settings.yaml"


def parts(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def commands() -> Iterator[tuple[str, list[str], str]]:
    """Where it stands, the words after `omnireid`, and the settings that lie in its place."""
    settings = (DEPLOY / "settings.yaml").read_text()
    unit = (DEPLOY / "omnireid.service").read_text()
    (started,) = re.findall(r"^ExecStart=\S+/omnireid (.*)$", unit, re.MULTILINE)
    yield "omnireid.service", started.split(), settings
    (image,) = re.findall(r"^CMD (\[\".*)$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    yield "Containerfile", json.loads(image), settings
    (compose,) = parts("compose.yaml")
    yield "compose.yaml", compose["services"]["omnireid"]["command"], settings
    found = {part["kind"]: part for part in parts("kubernetes.yaml")}
    (container,) = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    yield "kubernetes.yaml", container["args"], found["ConfigMap"]["data"]["settings.yaml"]


@pytest.mark.parametrize(
    ("words", "settings"), [pytest.param(*rest, id=where) for where, *rest in commands()]
)
def test_each_starts_a_service_that_asks_for_tokens(
    omnireid: Run, tmp_path: Path, words: list[str], settings: str
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(settings)
    done = omnireid("--check", *(file if word == SETTINGS else word for word in words))
    assert done.code == 0, done.err
    assert re.search(r"^--tokens +/\S+/tokens.json ", done.out, re.MULTILINE)
    assert re.search(r"^--gallery +(/data/gallery|http://milvus:19530/site) ", done.out, re.MULTILINE)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with service(tmp_path_factory.mktemp("service")) as opened:
        yield opened


def test_probes_and_metrics_are_answered_without_a_token(client: TestClient) -> None:
    (deployment,) = (part for part in parts("kubernetes.yaml") if part["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    probes = {
        container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    probes |= set(re.findall(r"127\.0\.0\.1:8000(/\w+)", (DEPLOY / "Containerfile").read_text()))
    probes.add(parts("prometheus.yaml")[0]["scrape_configs"][0]["metrics_path"])
    assert probes == {"/readyz", "/healthz", "/metrics"}
    for path in probes:
        assert client.get(path).status_code == 200, path


def test_the_dashboard_asks_for_metrics_that_the_service_has(client: TestClient) -> None:
    assert client.get("/v1/info").status_code == 200
    told = client.get("/metrics").text
    # Those with a label appear with their first value; their help stands there from the start.
    known = set(re.findall(r"^# HELP (\w+)", told, re.MULTILINE))
    dashboard = json.loads((DEPLOY / "grafana" / "omnireid.json").read_text())
    asked = {
        re.sub("_bucket$", "", name)
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"omnireid_\w+", target["expr"])
    }
    assert len(asked) >= 6
    assert asked <= known


def test_nginx_lets_the_page_and_the_interface_through_alone() -> None:
    (let_through,) = re.findall(r"location ~ (\S+) \{", (DEPLOY / "nginx.conf").read_text())
    for path, is_open in (
        ("/", True), ("/assets/app.js", True), ("/v1/search", True), ("/metrics", False), ("/readyz", False),
        ("/openapi.json", False),
    ):  # fmt: skip
        assert bool(re.search(let_through, path)) == is_open, path
