"""Live cameras and everybody's timeline on the page."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import yaml
from playwright.sync_api import expect

from omnireid.video.ground import Ground
from server.page_browser import NEEDS_CHROMIUM, Accessible, Open, ask, button, settled
from server.page_server import HOSTILE, MORNING, PageServer

pytestmark = NEEDS_CHROMIUM
SOON_MS = 60_000


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    pytest.importorskip("av")
    server = PageServer(tmp_path_factory.mktemp("page"), "--camera")
    server.start()
    yield server
    server.stop()


def test_people_are_named_where_they_stand(open_page: Open, yard: PageServer) -> None:
    page = open_page(yard, "live").page
    expect(page.locator(".tab", has_text="Live")).to_have_attribute("aria-current", "page")
    camera = page.get_by_role("region", name="Yard", exact=True)
    expect(camera.locator(".live-state")).to_contain_text("Live, 3 people", timeout=SOON_MS)
    expect(camera.get_by_role("link", name="Ada", exact=True)).to_be_visible(timeout=SOON_MS)
    expect(camera.get_by_role("link", name=HOSTILE, exact=True)).to_be_visible(timeout=SOON_MS)
    expect(camera.locator(".live-box")).to_have_count(3)
    # The box lies where the person stands, whatever the size of the window.
    picture, box = camera.locator("img").bounding_box(), camera.locator(".live-box").first.bounding_box()
    assert picture is not None
    assert box is not None
    assert (box["x"] - picture["x"]) / picture["width"] == pytest.approx(60 / 640, abs=0.01)
    roof = page.get_by_role("region", name="Roof", exact=True)
    expect(roof.locator(".live-state")).to_contain_text("Connecting")
    assert "secret" not in page.content()
    # Looking on, it shows what comes; looking elsewhere, nothing is asked any more.
    camera.get_by_role("link", name="Ada", exact=True).click()
    expect(page.locator("h1")).to_have_text("Ada")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2_500)
    assert not [url for url in asked if "/v1/cameras" in url]


def test_people_are_on_the_map_where_they_stand(
    open_page: Open, yard: PageServer, accessible: Accessible
) -> None:
    page = open_page(yard, "map", viewport={"width": 360, "height": 740}, reduced_motion="reduce").page
    expect(page.locator(".tab", has_text="Live")).to_have_attribute("aria-current", "page")
    floor = page.get_by_role("region", name="Floor yard", exact=True)
    expect(floor.locator(".map-person")).to_have_count(3, timeout=SOON_MS)
    expect(floor.get_by_role("img")).to_have_accessible_name(re.compile("3 people"))
    expect(floor.locator(".map-area")).to_have_count(1)
    expect(page.locator("main")).to_contain_text("where they see the floor: Roof")
    ada = floor.locator(".map-person", has_text="Ada")
    expect(ada).to_have_count(1, timeout=SOON_MS)
    # Ada stands on the left, nearer to the camera than the stranger on the right.
    middles = [float(circle.get_attribute("cx") or "nan") for circle in floor.locator("circle").all()]
    assert float(ada.locator("circle").get_attribute("cx") or "nan") == min(middles)
    accessible(page, "map on a phone")
    page.emulate_media(color_scheme="dark")
    accessible(page, "map in the dark")
    # Known people lead on from the map and, by the keyboard, from the list.
    ada.locator("circle").click()
    expect(page.locator("h1")).to_have_text("Ada")
    page.go_back()
    floor.get_by_role("link", name="Ada", exact=True).press("Enter")
    expect(page.locator("h1")).to_have_text("Ada")


def test_without_a_floor_the_map_says_what_to_write(
    open_page: Open, yard: PageServer, accessible: Accessible
) -> None:
    page = open_page(yard).page
    page.route(
        re.compile("/v1/cameras/map"),
        lambda route: route.fulfill(json={"floors": [], "without_ground": ["Yard"]}),
    )
    page.evaluate("location.hash = '#/map'")
    expect(page.locator("main")).to_contain_text("--site site.yaml")
    # What is shown there can be read.
    plan = yaml.safe_load(page.locator("pre").inner_text())
    assert Ground.from_points(plan["cameras"]["yard"]["ground"]).at([[112, 540]])[0] == pytest.approx([0, 0])
    accessible(page, "no map")


def test_everybody_has_a_line_and_a_bar_opens_its_picture(open_page: Open, yard: PageServer) -> None:
    since = "2026-03-02T00:00"
    page = open_page(yard, f"timeline?since={since}&until=2026-03-02T23:59").page
    settled(page)
    lanes = page.locator(".lane")
    expect(lanes).to_have_count(11)  # eight people, and three walks of nobody known
    expect(page.locator(".legend li")).to_have_text(["Car park", "Entrance", "Hall"])
    ada = page.get_by_role("group", name="Ada", exact=True)
    expect(ada.locator(".sighting-bar")).to_have_count(3)
    bar = ada.get_by_role("button", name="Ada: Hall", exact=False)
    bar.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Hall")
    expect(dialog.locator("img")).to_be_visible()
    page.keyboard.press("Escape")
    # Narrowed to one person and to a time; the address says so.
    button(page, "Only one person").click()
    page.get_by_role("dialog").get_by_role("button", name="Ada").first.click()
    expect(lanes).to_have_count(1)
    assert "person=p1" in page.url
    button(page, "Remove Ada").click()
    expect(lanes).to_have_count(11)  # eight people, and three walks of nobody known
    page.get_by_label("From").fill("2026-03-02 23:00")
    expect(page.locator(".lanes")).to_contain_text("Nobody was seen")
    items = ask(yard, "v1/items", since="2026-03-02T00:00:00Z", until="2026-03-03T00:00:00Z")["items"]
    assert MORNING > 0
    assert items


def test_nothing_hinders_on_a_phone_or_with_a_screen_reader(
    open_page: Open, yard: PageServer, accessible: Accessible
) -> None:
    phone = {"width": 360, "height": 740}
    page = open_page(yard, "live", viewport=phone, reduced_motion="reduce").page
    expect(page.locator(".live-box")).to_have_count(3, timeout=SOON_MS)
    accessible(page, "live")
    page.evaluate("location.hash = '#/timeline?since=2026-03-02T00:00'")
    expect(page.locator(".lane").first).to_be_visible()
    accessible(page, "timeline")
