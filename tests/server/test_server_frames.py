"""The socket for person detectors: what is announced, what is answered, and what is missing."""

from __future__ import annotations

from pathlib import Path

from server.toy_service import ToyDetector, person, post_picture, service, text_of


def test_a_detector_is_announced_and_answers_within_the_picture(tmp_path: Path) -> None:
    with service(tmp_path, detector=ToyDetector()) as client:
        assert client.get("/v1/info").json()["features"] == ["reject", "detect"]
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
        assert client.get("/v1/info").json()["features"] == ["reject"]
        answer = post_picture(client, "/v1/detect", person(1))
        assert answer.status_code == 501
        assert answer.headers["content-type"] == "application/problem+json"
        assert "no person detector is installed" in answer.json()["detail"]


def test_a_floor_plan_and_groups_over_http(tmp_path: Path) -> None:
    with service(tmp_path) as client:
        at = "/v1/galleries/doors/"
        assert client.get(at + "floor-plan").json() is None
        put = client.put(
            at + "floor-plan", content=person(1, kind="PNG"), headers={"Content-Type": "image/png"}
        )
        assert (put.json()["width"], put.json()["height"]) == (48, 96)
        picture = client.get(at + "floor-plan/picture")
        assert (picture.headers["content-type"], picture.content[8:12]) == ("image/webp", b"WEBP")
        assert client.put(at + "floor-plan", json={"image": "AAAA"}).status_code == 422
        pins = {"pins": {"Hall": {"x": 0.5, "y": 0.25}}}
        assert client.put(at + "floor-plan/pins", json=pins).json()["pins"] == pins["pins"]
        assert (
            client.put(at + "floor-plan/pins", json={"pins": {"Hall": {"x": 2, "y": 0}}}).status_code == 422
        )
        groups = {"groups": {"Inside": ["Hall", "Stairs"]}}
        assert client.put(at + "camera-groups", json=groups).json() == groups
        assert client.get("/v1/galleries/yard/camera-groups").json() == {"groups": {}}
        assert client.delete(at + "floor-plan").status_code == 204
        assert client.get(at + "floor-plan/picture").status_code == 404
        actions = [one["action"] for one in client.get("/v1/audit").json()["entries"]]
        assert actions == ["set-floor-plan", "set-camera-pins", "set-camera-groups", "delete-floor-plan"]


def test_known_attributes_and_forgetting_many_over_http(tmp_path: Path) -> None:
    with service(tmp_path) as client:
        items = [{"image": text_of(person(seed)), "attributes": {"bag": seed < 3}} for seed in range(4)]
        enrolled = client.post("/v1/enrol", json={"items": items}).json()["items"]
        (known,) = client.get("/v1/attributes").json()["attributes"]
        assert known["values"] == [{"value": True, "items": 3}, {"value": False, "items": 1}]
        gone = {"items": [one["id"] for one in enrolled[:3]] + ["never-there"]}
        assert client.post("/v1/items/forget", json=gone).json() == {"forgotten": 3}
        assert [one["id"] for one in client.get("/v1/items").json()["items"]] == [enrolled[3]["id"]]
        assert [one["action"] for one in client.get("/v1/audit").json()["entries"]] == ["enrol", "forget"]
