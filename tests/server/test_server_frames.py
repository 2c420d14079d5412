"""The socket for person detectors: what is announced, what is answered, and what is missing."""

from __future__ import annotations

from pathlib import Path

from server.toy_service import ToyDetector, person, post_picture, service, text_of


def test_a_detector_is_announced_and_answers_within_the_picture(tmp_path: Path) -> None:
    with service(tmp_path, detector=ToyDetector()) as client:
        assert client.get("/v1/info").json()["features"] == ["detect"]
        picture = person(1, size=(40, 80))
        answer = post_picture(client, "/v1/detect", picture).json()
        assert (answer["detector"], answer["width"], answer["height"]) == ("toy-detector", 40, 80)
        # The surest first, cut to the picture; what is outside of it, or no number, is left out.
        assert answer["boxes"] == [
            {"x": 0, "y": 0, "width": 20, "height": 80, "score": 0.9},
            {"x": 10, "y": 20, "width": 20, "height": 40, "score": 0.5},
        ]
        assert client.post("/v1/detect", json={"image": text_of(picture)}).json() == answer
        assert client.post("/v1/detect", json={"image": "AAAA"}).status_code == 422


def test_without_a_detector_the_answer_names_what_is_missing(tmp_path: Path) -> None:
    with service(tmp_path) as client:
        assert client.get("/v1/info").json()["features"] == []
        answer = post_picture(client, "/v1/detect", person(1))
        assert answer.status_code == 501
        assert answer.headers["content-type"] == "application/problem+json"
        assert "no person detector is installed" in answer.json()["detail"]
