"""Large frames in the page: zoom, boxes around small people, detectors, and several people at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from server.page_browser import NEEDS_CHROMIUM, Open, button, choose, settled
from server.page_server import FRAME, PLACES, PageServer, frame

pytestmark = NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def detecting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    """A server with a detector."""
    process = PageServer(tmp_path_factory.mktemp("detecting"), "--detector")
    process.start()
    yield process
    process.stop()


def opened(page: Page) -> Locator:
    """The large view of a frame."""
    choose(page, frame(), "frame.jpg")
    button(page, "Large view").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".window")).to_be_visible()
    page.wait_for_function("document.querySelector('.zoomed img').complete")
    return dialog


def rectangle(place: Locator) -> dict[str, float]:
    box = place.bounding_box()
    assert box is not None
    return dict(box)


def on_screen(dialog: Locator, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the frame is on the screen."""
    shown = rectangle(dialog.locator(".zoomed"))
    return shown["x"] + x * shown["width"] / FRAME[0], shown["y"] + y * shown["height"] / FRAME[1]


@pytest.mark.parametrize("width", [1280, 360])
def test_a_person_of_29_pixels_is_boxed_in_a_large_frame(
    open_page: Open, detecting: PageServer, width: int
) -> None:
    page = open_page(detecting, viewport={"width": width, "height": 800}).page
    dialog = opened(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    window = rectangle(dialog.locator(".window"))
    assert window["width"] > 0.9 * width
    x, y, wide, tall = PLACES[3]
    # The wheel zooms to where the pointer is.
    page.mouse.move(*on_screen(dialog, x + wide / 2, y + tall / 2))
    while rectangle(dialog.locator(".zoomed"))["width"] < 4 * FRAME[0]:
        said = dialog.locator(".zoom-said").inner_text()
        page.mouse.wheel(0, -480)
        expect(dialog.locator(".zoom-said")).not_to_have_text(said)
    corners = [on_screen(dialog, x, y), on_screen(dialog, x + wide, y + tall)]
    page.mouse.move(*corners[0])
    page.mouse.down()
    page.mouse.move(*corners[1], steps=3)
    page.mouse.up()
    box = dialog.locator(".box")
    inside = rectangle(box)
    assert inside["width"] > 100
    # Handles can be taken by a finger, and none lies on the person.
    for handle in dialog.locator(".handle").all():
        taken = rectangle(handle)
        assert min(taken["width"], taken["height"]) >= 20
        apart = (
            taken["x"] + taken["width"] <= inside["x"] + 3
            or taken["x"] >= inside["x"] + inside["width"] - 3
            or taken["y"] + taken["height"] <= inside["y"] + 3
            or taken["y"] >= inside["y"] + inside["height"] - 3
        )
        assert apart
    # By keys: all of it, pixel by pixel, closer; the box is still where it was drawn.
    box.press("0")
    expect(dialog.locator(".window")).to_be_visible()
    assert rectangle(dialog.locator(".zoomed"))["width"] <= window["width"]
    box.press("1")
    assert rectangle(dialog.locator(".zoomed"))["width"] == pytest.approx(FRAME[0], abs=1)
    box.press("+")
    expect(dialog.locator(".zoom-said")).to_have_text("125 %")
    before = rectangle(dialog.locator(".zoomed"))["x"]
    dialog.locator(".window").focus()
    page.keyboard.press("ArrowRight")
    assert rectangle(dialog.locator(".zoomed"))["x"] == pytest.approx(before - 60, abs=1)
    button(dialog, "Save").click()
    with page.expect_request("**/v1/search*") as asked:
        button(page, "Search").click()
    region: dict[str, Any] = asked.value.post_data_json["region"]
    assert [region[name] for name in ("x", "y", "width", "height")] == pytest.approx(
        [x, y, wide, tall], abs=1
    )
    expect(page.locator(".group h3").first).to_have_text("p3")


def test_dragging_moves_and_two_fingers_zoom(open_page: Open, detecting: PageServer) -> None:
    page = open_page(detecting, viewport={"width": 360, "height": 760}, has_touch=True).page
    dialog = opened(page)
    button(dialog, "Pixel by pixel (1)").click()
    dialog.locator(".mode", has_text="Move").click()
    window, before = rectangle(dialog.locator(".window")), rectangle(dialog.locator(".zoomed"))
    x, y = window["x"] + window["width"] / 2, window["y"] + window["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 50, y + 40, steps=2)
    page.mouse.up()
    after = rectangle(dialog.locator(".zoomed"))
    assert (after["x"], after["y"]) == pytest.approx((before["x"] - 50, before["y"] + 40), abs=1)
    dialog.locator(".mode", has_text="Draw").click()
    touch = page.context.new_cdp_session(page)

    def fingers(kind: str, *apart: float) -> None:
        points = [{"x": x + one, "y": y, "id": number} for number, one in enumerate(apart)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    fingers("touchStart", -40)
    fingers("touchStart", -40, 40)
    fingers("touchMove", -80, 80)
    fingers("touchEnd")
    zoomed = rectangle(dialog.locator(".zoomed"))
    assert zoomed["width"] == pytest.approx(2 * before["width"], rel=0.02)
    # What the first finger had begun to draw is taken back.
    expect(dialog.locator(".box")).to_be_hidden()


def test_people_that_are_found_are_searched_for_at_once(open_page: Open, detecting: PageServer) -> None:
    page = open_page(detecting).page
    dialog = opened(page)
    found = dialog.locator(".suggestion")
    expect(found).to_have_count(len(PLACES))
    found.nth(0).press("Enter")
    found.nth(1).click()
    # Somebody whom it missed is drawn, and is the third.
    button(dialog, "Draw a box").click()
    expect(dialog.get_by_text("3 people chosen. Each is searched for.")).to_be_visible()
    button(dialog, "Take the box away").click()
    found.nth(2).click()
    regions: list[dict[str, int]] = []
    page.on("request", lambda one: "/v1/search" in one.url and regions.append(one.post_data_json["region"]))
    button(dialog, "Search for 3 people").click()
    tabs = page.get_by_role("tab")
    expect(tabs).to_have_count(3)
    expect(page.get_by_text("Searching…")).to_have_count(0)
    assert [tuple(one.values()) for one in regions] == [*PLACES.values()]
    for index, pid in enumerate(PLACES):
        tabs.nth(index).click()
        expect(tabs.nth(index)).to_have_attribute("aria-selected", "true")
        expect(page.locator(".group h3").first).to_have_text(f"p{pid}")
    tabs.nth(2).press("ArrowLeft")
    expect(tabs.nth(1)).to_be_focused()
    # A search each; coming back is none.
    page.go_back()
    expect(page.locator("main[data-view=search]")).to_be_visible()
    page.go_forward()
    expect(page.get_by_role("tab", name=re.compile("Person 3"))).to_have_attribute("aria-selected", "true")
    settled(page)
    assert len(regions) == 3
