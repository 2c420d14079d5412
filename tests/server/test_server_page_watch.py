"""The watch list on the page: put somebody on it, be told, compare, answer, end it."""

from __future__ import annotations

import base64
import io
import re
import time
from typing import Any

import httpx2
import pytest
from PIL import Image
from playwright.sync_api import Route, expect

from omnireid.server.running import SHUTDOWN_S
from server.page_browser import NEEDS_CHROMIUM, Accessible, Open, ask, button, view
from server.page_server import PageServer, picture

pytestmark = NEEDS_CHROMIUM
WATCH_LIST = re.compile(r"/v1/watch(\?.*)?$")


def again(pid: int, quality: int) -> bytes:
    """A picture that the gallery has, saved once more: nobody doubts that it is the same person."""
    content = io.BytesIO()
    Image.open(io.BytesIO(picture(pid, 0, 0))).save(content, "JPEG", quality=quality)
    return content.getvalue()


def enrol(server: PageServer, content: bytes, **place: Any) -> str:
    item = {"image": base64.b64encode(content).decode(), **place}
    answer = httpx2.post(server.url + "v1/enrol", json={"items": [item]}, timeout=30).raise_for_status()
    return str(answer.json()["items"][0]["id"])


@pytest.fixture(autouse=True)
def nobody_is_watched_for(server: PageServer) -> None:
    for entry in ask(server, "v1/watch")["entries"]:
        httpx2.delete(f"{server.url}v1/watch/{entry['id']}").raise_for_status()


def test_somebody_is_watched_for_until_the_entry_is_ended(open_page: Open, server: PageServer) -> None:
    page = open_page(server, "person/p3").page
    button(page, "Watch for").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".expected .strong")).to_have_text(
        re.compile(r"^At about \d+ pictures a day and [\d.]+ %, expect about .* for the whole list\.$")
    )
    button(dialog, "Watch").click()  # a reason is asked for
    expect(dialog).to_be_visible()
    dialog.get_by_label("Reason").fill("lost child <b>ordered</b>")
    button(dialog, "Watch").click()
    expect(page.locator(".watched")).to_contain_text("lost child <b>ordered</b>")
    expect(page.locator(".watched")).to_contain_text("7 days left")
    expect(page.locator(".alerts")).to_contain_text("No alerts")
    # It comes by itself, wherever the page is.
    view(page, "search")
    item = enrol(server, again(3, 80), camera="Entrance", time="2026-03-02T12:34:56Z")
    expect(page.locator(".tab-count")).to_have_text(re.compile("^1"), timeout=20_000)
    expect(page.locator(".toast", has_text="a new alert, Entrance")).to_be_visible()
    view(page, "watch")
    alert = page.locator(".alert")
    expect(alert.locator("h3")).to_have_text("Looks like p3")
    expect(alert.locator(".alert-pictures img")).to_have_count(2)
    enrol(server, again(3, 70), camera="Hall", identity="p3")
    expect(page.locator(".alert")).to_have_count(2, timeout=20_000)
    expect(page.locator(".alert h3").first).to_have_text("Enrolled as p3")
    # The new picture opens beside the known one.
    button(alert.last, "Open the new picture").click()
    expect(page.get_by_role("dialog").locator("figure")).to_have_count(2)
    page.keyboard.press("Escape")
    button(alert.last, "Wrong person").click()
    expect(alert.last.locator(".alert-answer")).to_contain_text("Wrong person")
    expect(alert.last.locator(".badge")).to_have_count(0)
    expect(button(alert.last, "Take back")).to_be_focused()
    button(alert.first, "Right person").click()
    expect(page.locator(".tab-count")).to_be_hidden()
    page.reload()
    expect(page.locator(".watch-list")).to_contain_text("So far 1 of 2 answered alerts were right.")
    answers = {one["item"]["id"]: one["answer"] for one in ask(server, "v1/watch/alerts")["alerts"]}
    assert answers[item] == "wrong"
    button(page, "End watching for p3").click()
    expect(page.get_by_role("dialog")).to_contain_text("The entry and its 2 alerts are deleted for good")
    button(page.get_by_role("dialog"), "End").click()
    expect(page.locator(".watch-list")).to_contain_text("Nobody is watched for")
    assert ask(server, "v1/watch/alerts")["alerts"] == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_hinders_on_a_phone_or_with_a_screen_reader(
    open_page: Open, server: PageServer, accessible: Accessible, theme: str
) -> None:
    for who, reason in (("p4", "lost child"), ("p6", f"{'long' * 40}")):
        body = {
            "identity": who,
            "reason": reason,
            "ends": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 9e4)),
        }
        httpx2.post(server.url + "v1/watch", json=body).raise_for_status()
    enrol(server, again(4, 80 if theme == "light" else 81), camera="A long name " * 9 + "end")
    phone = {"width": 360, "height": 740}
    page = open_page(server, "watch", viewport=phone, color_scheme=theme, reduced_motion="reduce").page
    expect(page.locator(".alert").first).to_be_visible(timeout=20_000)
    accessible(page, "alerts")
    button(page, "End watching for p4").click()
    accessible(page, "ending")
    page.keyboard.press("Escape")
    # It gives the focus back when it has gone from the page; closed, it has no role any more.
    expect(page.locator("dialog")).to_have_count(0)
    # Another alert comes while the focus is on a button of this one.
    seen = button(page.locator(".alert").first, "Seen")
    seen.focus()
    seq = page.locator(".alert").first.get_attribute("data-seq")
    enrol(server, again(4, 60 if theme == "light" else 61), camera="Hall", identity="p4")
    expect(page.locator(".alert")).to_have_count(2, timeout=20_000)
    expect(button(page.locator(f".alert[data-seq='{seq}']"), "Seen")).to_be_focused()
    view(page, "person/p3")
    button(page, "Watch for").click()
    accessible(page, "watch for somebody")


def test_an_alert_that_is_raised_while_the_view_is_on_its_way_is_in_it(
    open_page: Open, server: PageServer
) -> None:
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 9e4))
    body = {"identity": "p5", "reason": "lost child", "ends": ends}
    httpx2.post(server.url + "v1/watch", json=body).raise_for_status()
    page = open_page(server, "search").page
    expect(page.locator("h1")).to_be_visible()

    def late(route: Route) -> None:
        answer = route.fetch()
        time.sleep(0.5)  # the alerts have been answered meanwhile
        enrol(server, again(5, 80), camera="Hall")
        until = time.monotonic() + 20
        while not ask(server, "v1/watch/alerts")["alerts"] and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(0.5)  # and the stream has told of it
        route.fulfill(response=answer)

    page.route(WATCH_LIST, late, times=1)
    view(page, "watch")
    expect(page.locator(".alert")).to_have_count(1, timeout=20_000)


def test_streams_of_events_do_not_hold_up_the_end_of_the_server(server: PageServer) -> None:
    with httpx2.stream("GET", server.url + "v1/watch/events", trust_env=False, timeout=20) as stream:
        assert next(stream.iter_lines()) == "retry: 2000"
        started = time.monotonic()
        server.stop()
        took = time.monotonic() - started
    server.start()
    assert took < SHUTDOWN_S / 2
