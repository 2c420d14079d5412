"""Large frames and large sites in the page: zoom, small people, detectors; cameras, grids, floor plans."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, Route, expect

from server.page_browser import NEEDS_CHROMIUM, Accessible, Open, ask, button, choose, settled, view
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
    expect(dialog.locator(".suggestion")).to_have_count(len(PLACES))
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
    # A quick hand: the browser tells of one move, from a box that was found by itself.
    page.mouse.move(*corners[1])
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
    button(dialog, "Remove box").click()
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


CAMERAS = [
    f"Building {place} · floor {floor} · camera {n:02d}"
    for place in "AB"
    for floor in (0, 1)
    for n in range(11)
]
GROUPS = {f"Building {place}": [name for name in CAMERAS if f" {place} " in name] for place in "AB"}


@pytest.fixture(scope="module")
def site(detecting: PageServer) -> PageServer:
    """A server whose gallery has 44 more cameras, two groups of them, and a floor plan."""
    embedding = [float(n % 7) for n in range(72)]
    shapes = [(20, 100), (100, 30), (64, 128)]
    items: list[dict[str, Any]] = [
        {
            "embedding": embedding,
            "model_sha256": "c0" * 32,
            "camera": name,
            "time": f"2026-03-01T10:{n:02d}:00Z",
            "identity": "walker",
            "attributes": {"bag": n % 3 == 0, "code": "7"},
        }
        for n, name in enumerate(CAMERAS)
    ]
    for n, (width, height) in enumerate(shapes):
        content = base64.b64encode(jpeg(width, height)).decode()
        items.append({"image": content, "camera": CAMERAS[n], "time": f"2026-04-01T10:0{n}:00Z"})
    post = httpx2.post(detecting.url + "v1/enrol", json={"items": items}, timeout=60)
    assert post.status_code == 200, post.text
    at = detecting.url + "v1/galleries/main/"
    httpx2.put(at + "camera-groups", json={"groups": GROUPS}).raise_for_status()
    plan = httpx2.put(at + "floor-plan", content=jpeg(400, 200), headers={"Content-Type": "image/jpeg"})
    plan.raise_for_status()
    pins = {CAMERAS[n]: {"x": 0.1 + 0.3 * n, "y": 0.5} for n in range(3)}
    httpx2.put(at + "floor-plan/pins", json={"pins": pins}).raise_for_status()
    return detecting


def jpeg(width: int, height: int) -> bytes:
    """A picture of one colour."""
    content = io.BytesIO()
    Image.new("RGB", (width, height), (width, 128, height)).save(content, "JPEG")
    return content.getvalue()


@pytest.mark.parametrize("width", [1280, 360])
def test_forty_cameras_are_chosen_in_a_short_form(open_page: Open, site: PageServer, width: int) -> None:
    page = open_page(site, viewport={"width": width, "height": 800}).page
    if width < 1000:
        page.locator(".filters summary").click()
    names = page.locator(".filters .camera-list .check")
    expect(names).to_have_count(len(CAMERAS) + 3 + len(GROUPS))
    assert rectangle(page.locator(".filters fieldset").first)["height"] < 400
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # Names are whole: those that differ at their end alone are told apart.
    cut = """all => all.filter((one) => one.scrollWidth > one.clientWidth + 1).length"""
    assert names.evaluate_all(cut) == 0
    page.get_by_label("Find a camera or a group").fill("b · FLOOR 1 · camera 1")
    expect(page.locator(".filters .camera-list .check:visible")).to_have_text(
        ["Building B (22 cameras)", "Building B · floor 1 · camera 10"]
    )
    page.get_by_label("Building B · floor 1 · camera 10").check()
    expect(page.get_by_label("Building B (22 cameras)")).to_have_js_property("indeterminate", True)
    page.get_by_label("Building B (22 cameras)").check()
    expect(page.locator(".filters .chip.is-on")).to_have_text("Building B (22 cameras)")
    choose(page, frame(), "frame.jpg")
    with page.expect_request("**/v1/search*") as asked:
        button(page, "Search").click()
    assert sorted(asked.value.post_data_json["cameras"]) == sorted(GROUPS["Building B"])
    expect(page.locator(".verdict")).to_contain_text("Only: Building B (22 cameras)")
    settled(page)
    if width < 1000:
        return
    # Attributes that pictures have are offered, with how many.
    page.get_by_label("Attributes: name").fill("bag")
    lists = page.locator(".attribute datalist")
    offered = "all => all.map((one) => [one.value, one.textContent])"
    assert ["code", "44 pictures"] in lists.nth(0).locator("option").evaluate_all(offered)
    counts = [["false", "29 pictures"], ["true", "15 pictures"]]
    assert lists.nth(1).locator("option").evaluate_all(offered) == counts
    page.get_by_label("Attributes: name").fill("code")
    assert lists.nth(1).locator("option").evaluate_all(offered) == [['"7"', "44 pictures"]]


def test_tiles_are_whole_and_chosen_by_ranges(open_page: Open, site: PageServer) -> None:
    page = open_page(site, "pictures").page
    tiles = page.locator("main .tile")
    # The latest: crops of three shapes, none of them cut.
    for n in range(3):
        image = tiles.nth(n).locator("img")
        expect(image).to_be_visible()
        assert image.evaluate("image => getComputedStyle(image).objectFit") == "contain"
    names = tiles.nth(0).locator(".tile-line").nth(1)
    assert names.evaluate("one => one.scrollWidth <= one.clientWidth + 1")
    expect(names).to_have_text(CAMERAS[2])
    page.locator(".drop summary").click()
    page.get_by_label("Building A (22 cameras)").check()
    expect(tiles).to_have_count(25)
    assert "camera=Building+A" in page.url
    page.keyboard.press("Escape")
    expect(page.locator(".drop .camera-list")).to_be_hidden()
    page.reload()
    expect(tiles).to_have_count(25)
    # By mouse a range, by keys one more and a range.
    tiles.nth(3).locator(".pick").check()
    tiles.nth(6).locator(".pick").click(modifiers=["Shift"])
    bar = page.locator(".selection-bar")
    expect(bar).to_contain_text("4 pictures chosen")
    tiles.nth(9).locator(".bare").press("x")
    tiles.nth(10).locator(".bare").press("Shift+X")
    expect(bar).to_contain_text("6 pictures chosen")
    button(bar, "Choose all 25 shown").click()
    expect(bar).to_contain_text("25 pictures chosen")
    expect(button(bar, "Find this person")).to_be_disabled()
    button(bar, "Choose none").click()
    for n in range(3):
        tiles.nth(n).locator(".pick").check()
    asked: list[str] = []
    page.on("request", lambda one: one.method == "POST" and asked.append(one.url))
    button(bar, "Forget").click()
    button(page.get_by_role("dialog"), "Forget for good").click()
    expect(tiles).to_have_count(22)
    assert len(asked) == 1
    # Three sizes.
    wide = rectangle(tiles.nth(0))["width"]
    page.locator(".toolbar .mode").first.click()
    assert rectangle(tiles.nth(0))["width"] < 0.75 * wide


def test_five_thousand_people_are_scrolled_with_few_in_the_document(
    open_page: Open, detecting: PageServer
) -> None:
    page = open_page(detecting).page

    def answer(route: Route) -> None:
        found = parse_qs(urlsplit(route.request.url).query)
        after, limit = int(found.get("after", ["-1"])[0]), int(found["limit"][0])
        unknown = dict.fromkeys(("first_seen", "last_seen", "picture"))
        people = [
            {"id": f"{n}", "name": f"Person {n}", "items": 1, "cameras": ["Hall"], "merged": [], **unknown}
            for n in range(after + 1, min(after + 1 + limit, 5000))
        ]
        last = int(people[-1]["id"])
        route.fulfill(json={"identities": people, "next": None if last == 4999 else str(last)})

    page.route("**/v1/identities*", answer)
    view(page, "people")
    tiles = page.locator("main .tile")
    expect(tiles.first).to_contain_text("Person 0")
    most = 0
    for _ in range(60):
        page.evaluate("window.scrollTo({ top: document.documentElement.scrollHeight, behavior: 'instant' })")
        page.wait_for_timeout(60)
        most = max(most, tiles.count())
        if page.get_by_text("Person 4999", exact=True).is_visible():
            break
    expect(page.get_by_text("All 5,000")).to_be_visible()
    expect(page.get_by_text("Person 4999", exact=True)).to_be_visible()
    assert most < 400
    assert page.evaluate("document.querySelectorAll('*').length") < 4000
    page.evaluate("window.scrollTo({ top: 0, behavior: 'instant' })")
    expect(page.get_by_text("Person 0", exact=True)).to_be_visible()
    tiles.first.locator(".bare").focus()
    page.keyboard.press("ArrowRight")
    expect(tiles.nth(1).locator(".bare")).to_be_focused()


def test_cameras_are_arranged_on_a_floor_plan_and_show_a_way(open_page: Open, site: PageServer) -> None:
    page = open_page(site, "gallery").page
    expect(page.locator(".plan .pin")).to_have_count(3)
    button(page, "Arrange cameras").click()
    dialog = page.get_by_role("dialog")
    pins = dialog.locator(".pin")
    expect(pins).to_have_count(3)
    plan, dot = rectangle(dialog.locator(".plan")), rectangle(pins.nth(0))
    x, y = dot["x"] + dot["width"] / 2, dot["y"] + dot["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 0.2 * plan["width"], y - 0.3 * plan["height"], steps=3)
    page.mouse.up()
    pins.nth(1).press("Shift+ArrowDown")
    pins.nth(1).press("ArrowLeft")
    pins.nth(2).press("Delete")
    expect(pins).to_have_count(2)
    dialog.get_by_role("button", name=CAMERAS[5], exact=True).click()
    expect(pins.nth(2)).to_be_focused()
    button(dialog, "Save").click()
    expect(page.get_by_text("Cameras arranged.")).to_be_visible()
    kept = ask(site, "v1/galleries/main/floor-plan")["pins"]
    assert sorted(kept) == [CAMERAS[0], CAMERAS[1], CAMERAS[5]]
    assert list(kept[CAMERAS[0]].values()) == pytest.approx([0.3, 0.2], abs=0.02)
    assert list(kept[CAMERAS[1]].values()) == pytest.approx([0.39, 0.55])
    # On it somebody's sightings, in the order of time.
    view(page, "person/walker")
    on = page.locator(".plan .pin.is-on")
    expect(on).to_have_count(3)
    assert [one.inner_text().split()[0] for one in on.all()] == ["1", "2", "3"]
    expect(page.locator(".way li").nth(2)).to_contain_text(CAMERAS[5])
    on.nth(2).click()
    expect(page.locator(".sighting h3", has_text=CAMERAS[5])).to_be_focused()
    # A group is changed on the gallery's page.
    view(page, "gallery")
    button(page, "New group").click()
    dialog.get_by_label("Name of the group").fill("Doors")
    dialog.get_by_label("Hall", exact=True).check()
    button(dialog, "Save").click()
    expect(page.locator(".entry", has_text="Doors")).to_contain_text("1 camera: Hall")
    assert ask(site, "v1/galleries/main/camera-groups")["groups"]["Doors"] == ["Hall"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_frames_and_sites_are_accessible(
    open_page: Open, site: PageServer, accessible: Accessible, scheme: str
) -> None:
    page = open_page(site, color_scheme=scheme, reduced_motion="reduce").page
    dialog = opened(page)
    expect(dialog.locator(".suggestion")).to_have_count(len(PLACES))
    dialog.locator(".suggestion").first.click()
    button(dialog, "Draw a box").click()
    accessible(page, "large view")
    button(dialog, "Search for 2 people").click()
    expect(page.get_by_text("Searching…")).to_have_count(0)
    accessible(page, "several people")
    view(page, "pictures")
    page.locator(".pick").first.check()
    page.locator(".drop summary").click()
    accessible(page, "pictures")
    view(page, "person/walker")
    accessible(page, "person")
    view(page, "gallery")
    accessible(page, "gallery")
    button(page, "New group").click()
    accessible(page, "new group")
    page.keyboard.press("Escape")
    button(page, "Arrange cameras").click()
    accessible(page, "arrange")


def test_sites_by_keys_alone(open_page: Open, site: PageServer) -> None:
    page = open_page(site, "gallery").page
    press, dialog = page.keyboard.press, page.get_by_role("dialog")
    arrange = button(page, "Arrange cameras")
    arrange.press("Enter")
    pin = dialog.locator(".pin").first
    name = pin.get_attribute("data-camera")
    pin.focus()
    before = rectangle(pin)
    press("ArrowRight")
    press("+")  # of the window, from the pin
    expect(dialog.locator(".zoom-said")).not_to_have_text("100 %")
    press("0")
    assert rectangle(pin)["x"] > before["x"]
    expect(dialog.locator("p[role=status]")).to_contain_text(f"{name}: ")
    press("Delete")
    expect(dialog.locator(".window")).to_be_focused()
    expect(dialog.locator("p[role=status]")).to_have_text(f"{name}: taken off the plan")
    press("Escape")
    expect(arrange).to_be_focused()
    # What is drawn anew gives the focus back to the same control, or to the view where that has gone.
    change = page.get_by_role("button", name="Change Building A")
    change.press("Enter")
    dialog.get_by_label("Name of the group").fill("Building A")
    before_it = page.locator("main > div").element_handle()
    press("Enter")
    page.wait_for_function("content => !content.isConnected", arg=before_it)
    expect(change).to_be_focused()
    page.locator(".toast").get_by_role("button", name="Close").press("Enter")
    expect(page.locator("main")).to_be_focused()
    view(page, "pictures")
    tiles = page.locator("main .tile .bare")
    tiles.nth(0).press("x")
    tiles.nth(1).press("Shift+X")
    bar = page.locator(".selection-bar")
    button(bar, "Choose none").press("Enter")
    expect(bar).to_be_hidden()
    expect(tiles.nth(1)).to_be_focused()
