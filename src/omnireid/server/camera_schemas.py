"""What goes over the wire about cameras that are followed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from omnireid.server.schemas import Answer, DecisionName, Region, TimeOut


class CameraStateOut(Answer):
    """How a camera is."""

    name: str
    source: str = Field(description="Without user, password and query of its address.")
    state: Literal["connecting", "live", "lost", "ended"]
    since: TimeOut
    failure: str = Field(description="Why it is not live; empty where it is.")
    frames: int
    skipped: int = Field(description="Pictures that came before the one before was done with.")
    damaged: int
    reconnections: int
    last_frame: TimeOut | None
    people: int = Field(description="How many people are in the latest picture.")


class CamerasAnswer(Answer):
    """The cameras that this server follows."""

    cameras: list[CameraStateOut]
    gallery: str | None = Field(description="Where the people are enrolled; null without cameras.")
    enrolled: int = Field(description="Parts of walks that were enrolled since the server started.")
    waiting: int = Field(description="Parts of walks that are not in the gallery yet.")
    lost: int = Field(description="Parts of walks that were left out, because the gallery was away too long.")
    failure: str = Field(description="What goes wrong now; empty where all is well.")


class InViewOut(Answer):
    """Somebody in a picture."""

    walk: str
    box: Region
    identity: str | None
    name: str | None
    decision: DecisionName | None = Field(description="null while it is too early.")
    probability: float | None


class FrameAnswer(Answer):
    """The latest picture of a camera, and who is in it."""

    camera: str
    number: int
    time: TimeOut
    width: int
    height: int
    image: str = Field(description="JPEG as base64; smaller than the camera's where that is large.")
    people: list[InViewOut]


class Place(Answer):
    """A place on a floor, in metres."""

    x: float
    y: float


class OnFloorOut(Answer):
    """Somebody on a floor, from all cameras that see them there."""

    walk: str
    cameras: list[str]
    identity: str | None
    name: str | None
    decision: DecisionName | None = Field(description="null while it is too early.")
    probability: float | None
    time: TimeOut = Field(description="Of the last place that is known.")
    way: list[Place] = Field(description="Places of the last minute; the last one is the latest.")


class FloorCameraOut(Answer):
    """What of a floor a camera sees."""

    name: str
    sees: list[Place] = Field(description="Corners of a polygon; empty before its first picture.")


class FloorOut(Answer):
    """A floor, and who is on it."""

    name: str
    cameras: list[FloorCameraOut]
    people: list[OnFloorOut]


class MapAnswer(Answer):
    """The floors that cameras see."""

    floors: list[FloorOut]
    without_ground: list[str] = Field(description="Cameras of which nobody said where the floor is.")
