"""Cameras over HTTP: how they are, what they see, who looked; metrics and readiness; searches beside."""

from __future__ import annotations

import base64
import io
import time
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from omnireid.cli.serve import named_camera
from omnireid.core.errors import ConfigError
from omnireid.server.tokens import TokenFile
from omnireid.video.live import Live, LiveCameras
from server.toy_service import enrol, person, post_picture, service
from video.test_video_live import Stripes, until
from video.walks import street, write_video


def standing(folder: Path) -> str:
    """A video of somebody who stands there for minutes: a busy machine may be slow to look."""
    return str(write_video(folder / "yard.mp4", [street([(40, 1)])] * 400, fps=2))


def follow(client: TestClient, *sources: tuple[str, str]) -> LiveCameras:
    """As `omnireid serve --camera` does, but after the start."""
    running = client.app.state.service  # type: ignore[attr-defined]
    gallery = running.galleries["doors"]
    cameras = LiveCameras(sources, Stripes(), running.embedder, gallery, Live(fps=2, early_s=1))
    running.follow(cameras)
    cameras.start()
    return cameras


def test_a_server_without_cameras_says_so(tmp_path: Path) -> None:
    with service(tmp_path, calibrated=False) as client:
        answer = client.get("/v1/cameras").json()
        assert (answer["cameras"], answer["gallery"]) == ([], None)
        assert client.get("/v1/cameras/yard/frame").status_code == 404
        assert "--camera" in client.get("/v1/cameras/yard/frame").json()["detail"]


def test_a_camera_is_seen_from_everywhere(tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    headers = {"Authorization": f"Bearer {tokens.create('guard', 'read')}"}
    # Before the server looks: it sees new tokens only two seconds later.
    desk = {"Authorization": f"Bearer {tokens.create('desk', 'write')}"}
    with service(tmp_path, tokens=tokens) as client:
        assert client.get("/v1/cameras").status_code == 401
        client.headers = headers
        cameras = follow(client, ("yard", standing(tmp_path)), ("far", "rtsp://guard:secret@127.0.0.1:1/far"))
        until(lambda: cameras.enrolled > 0, cameras.states())
        frame = client.get("/v1/cameras/yard/frame").json()
        picture = Image.open(io.BytesIO(base64.b64decode(frame["image"])))
        assert picture.size == (frame["width"], frame["height"]) == (320, 240)
        (somebody,) = frame["people"]
        assert somebody["decision"] == "new"
        assert somebody["box"]["width"] == pytest.approx(32, abs=6)
        named = {"id": somebody["identity"]}
        done = client.put("/v1/identity", params=named, json={"name": "Ada"}, headers=desk)
        assert done.status_code == 200, done.text
        assert client.get("/v1/cameras/yard/frame").json()["people"][0]["name"] == "Ada"
        # Somebody who is forgotten has no name from then on; the rest of the walk is decided anew.
        assert client.delete("/v1/identity", params=named, headers=desk).status_code == 200
        (somebody,) = client.get("/v1/cameras/yard/frame").json()["people"]
        assert (somebody["identity"], somebody["decision"]) == (None, None)
        # Who looked stands in the audit, once.
        gallery = client.app.state.service.galleries["doors"]  # type: ignore[attr-defined]
        assert [(entry.actor, entry.detail) for entry in gallery.audit(action="look-live")] == [
            ("guard", {"camera": "yard"})
        ]
        yard, far = client.get("/v1/cameras").json()["cameras"]
        assert (yard["state"], yard["people"], far["state"]) == ("live", 1, "connecting")
        until(lambda: cameras.states()[1].failure != "")
        whole = client.get("/v1/cameras").text
        assert "refused" in whole
        assert "secret" not in whole
        metrics = client.get("/metrics").text
        assert 'omnireid_camera_live{camera="yard"} 1.0' in metrics
        assert 'omnireid_camera_live{camera="far"} 0.0' in metrics
        assert 'omnireid_camera_frames_total{camera="yard"}' in metrics
        until(lambda: client.get("/readyz").json()["status"] == "ready")
        assert client.get("/readyz").json()["cameras"] == "far: connecting"
        # A search is answered as ever.
        assert post_picture(client, "/v1/search", person(7)).status_code == 200
        assert client.get("/v1/cameras/none/frame").status_code == 404
        assert "far" in client.get("/v1/cameras/none/frame").json()["detail"]
        assert client.get("/v1/cameras/far/frame").status_code == 404
    # What it saw was enrolled when the service ended.
    assert cameras.waiting == 0


def test_a_person_on_the_watch_list_is_alerted_while_they_walk(tmp_path: Path) -> None:
    with service(tmp_path) as client:
        content = io.BytesIO()
        Image.fromarray(street([(40, 1)])[80:160, 24:56]).save(content, "PNG")
        enrol(client, 5, identity="p5")
        known = client.post(
            "/v1/enrol",
            content=content.getvalue(),
            params={"identity": "p1", "camera": "gate"},
            headers={"Content-Type": "image/png"},
        )
        assert known.status_code == 200, known.text
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        client.post("/v1/watch", json={"identity": "p1", "reason": "lost child", "ends": ends})
        cameras = follow(client, ("yard", standing(tmp_path)))

        def alerts() -> list[dict[str, object]]:
            found: list[dict[str, object]] = client.get("/v1/watch/alerts").json()["alerts"]
            return found

        until(lambda: len(alerts()) > 0, cameras.states)
        assert cameras.states()[0].state == "live"
        assert alerts()[0]["identity"] == "p1"


@pytest.mark.parametrize("text", ["rtsp://u:secret@host/a?b=c", "a/b=rtsp://u:secret@h", "yard=", ""])
def test_a_camera_needs_a_name(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        named_camera(text)
    assert "secret" not in str(error.value)


def test_a_camera_is_named() -> None:
    assert named_camera("yard=rtsp://host/a=b") == ("yard", "rtsp://host/a=b")
