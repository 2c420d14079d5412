"""Live cameras and everybody's timeline on the page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

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
