"""Cases on the page: collected, exported as one file, which a browser alone shows and checks."""

from __future__ import annotations

import base64
import csv
import io
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from server.page_browser import (
    NEEDS_CHROMIUM,
    REFUSED,
    Accessible,
    Open,
    ask,
    button,
    search_for,
    view,
)
from server.page_server import PageServer, picture

pytestmark = NEEDS_CHROMIUM

REASON = "Theft on 2 March, file 12/26"


def created(server: PageServer, title: str) -> str:
    ends = (datetime.now(timezone.utc) + timedelta(days=9)).isoformat()
    body = {"title": title, "reason": REASON, "ends": ends}
    answer = httpx2.post(server.url + "v1/cases", json=body).raise_for_status().json()
    return str(answer["id"])


def add(server: PageServer, case: str, **entry: Any) -> None:
    httpx2.post(f"{server.url}v1/cases/{case}/entries", json=entry).raise_for_status()


def entries(page: Page) -> Locator:
    return page.locator(".case-entries > li")


def check(page: Page, path: Path) -> Locator:
    page.locator(".check input[type=file]").set_input_files(path)
    verdict = page.locator(".check .verdict").first
    expect(verdict).to_be_visible()
    return verdict


def test_a_search_and_people_become_one_file_that_shows_any_change(
    open_page: Open, browser: Browser, server: PageServer, tmp_path: Path
) -> None:
    watched = open_page(server, accept_downloads=True)
    page = watched.page
    search_for(page, picture(1, 0, 2))
    shown = page.locator(".likeness-number").first.inner_text()
    button(page, "Add to case").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Note (optional)").fill("Came back at ten")
    button(dialog, "New case").click()
    expect(button(dialog, "Open case and add")).to_be_disabled()
    # Typed where the focus is.
    page.keyboard.type("Bicycle")
    dialog.get_by_label("Reason and legal basis").fill(REASON)
    expect(dialog.get_by_text(re.compile("the case is deleted with all that it holds"))).to_be_visible()
    button(dialog, "Open case and add").click()
    expect(page.locator(".toast")).to_contain_text("Added to “Bicycle”.")
    view(page, "person/p1")
    page.locator(".pick").first.check()
    # Of the person, then of the chosen picture, whose adding is taken back.
    for place in (page.locator(".person-head"), page.locator(".selection-bar")):
        button(place, "Add to case").click()
        dialog.get_by_role("button", name=re.compile("^Bicycle")).click()
        expect(dialog).to_have_count(0)
    page.locator(".toast", has_text="Added").last.get_by_role("button", name="Undo").click()
    expect(page.locator(".toast", has_text="Undone.")).to_be_visible()
    view(page, "cases")
    page.get_by_role("link", name="Bicycle", exact=True).click()
    expect(entries(page).locator("h2")).to_have_text(["1. Search", "2. Person: Ada"])
    expect(entries(page).first).to_contain_text("Came back at ten")
    expect(entries(page).first.locator("h3", has_text="Ada")).to_contain_text(shown)
    expect(entries(page).first).to_contain_text("c0" * 32)
    expect(entries(page).first.locator("img").first).to_be_visible()
    with page.expect_download() as download:
        button(page, "Export as a file").click()
    exported, changed = tmp_path / "case.html", tmp_path / "changed.html"
    download.value.save_as(exported)
    content = exported.read_text()
    changed.write_text(content.replace("2 March", "3 March"))
    assert changed.read_text() != content

    # A browser alone, with and without its own SHA-256.
    context = browser.new_context(accept_downloads=True, offline=True)
    alone, requests, errors = context.new_page(), [], []
    alone.on("request", lambda request: requests.append(request.url))
    alone.on("console", lambda message: errors.append(message.text))
    alone.on("pageerror", lambda error: errors.append(str(error)))
    for has_crypto in (True, False):
        if not has_crypto:
            context.add_init_script("Object.defineProperty(crypto, 'subtle', { value: undefined });")
        for path, words in ((exported, "Unchanged"), (changed, "Changed")):
            alone.goto(path.as_uri())
            expect(alone.locator("#state b")).to_have_text(words)
            assert alone.evaluate("Boolean(crypto.subtle)") is has_crypto
    alone.goto(exported.as_uri())
    expect(alone.locator("article h3")).to_have_text(["1. Search", "2. Person: Ada"])
    expect(alone.locator("article").first).to_contain_text("Came back at ten")
    widths = alone.locator("article img").evaluate_all("all => all.map((one) => one.naturalWidth)")
    assert len(widths) > 6
    assert all(widths)
    expect(alone.locator("tbody")).to_contain_text("opened the case")
    with alone.expect_download() as sightings:
        alone.get_by_role("button", name="Save sightings as CSV").click()
    rows = list(csv.reader(io.StringIO(Path(sightings.value.path()).read_text("utf-8-sig"))))
    assert rows[0][:6] == ["entry", "kind", "person", "name", "camera", "time"]
    assert {row[3] for row in rows[1:] if row[1] == "person"} == {"Ada"}
    # A name that begins like a formula would be one in a spreadsheet.
    formula = "{ number: 1, kind: 'pictures', sightings: [{ camera: '=1+1', item: 'x', source: '' }] }"
    assert '"\'=1+1"' in alone.evaluate(f"csv({{ entries: [{formula}] }})")
    assert [one for one in requests if not one.startswith(("file:", "data:", "blob:"))] == []
    assert errors == []
    context.close()

    # The server that wrote it knows more.
    view(page, "cases")
    expect(check(page, exported)).to_contain_text(
        re.compile("Unchanged.*Exactly this was exported here on", re.S)
    )
    expect(page.locator(".check .case-entries h2")).to_have_text(["1. Search", "2. Person: Ada"])
    expect(page.locator(".check .case-entries img").first).to_be_visible()
    assert "was changed or damaged" in check(page, changed).inner_text()
    forged = tmp_path / "forged.html"
    sums = re.findall("SHA-256 ([0-9a-f]{64})", page.locator(".check .verdict").first.inner_text())
    stated = re.findall('omnireid-sha256" content="([0-9a-f]{64})"', content)
    forged.write_text(changed.read_text().replace(stated[0], sums[0]))
    expect(check(page, forged)).to_contain_text("This server did not export it")
    (tmp_path / "other.html").write_text("<p>hello</p>")
    page.locator(".check input[type=file]").set_input_files(tmp_path / "other.html")
    expect(page.locator(".check .complaint")).to_contain_text("not a case that OmniReID has exported")
    watched.expect_errors(REFUSED)


def test_who_is_forgotten_is_gone_from_the_case(open_page: Open, server: PageServer) -> None:
    items = [
        {"image": base64.b64encode(picture(61, 0, n)).decode(), "identity": "p61", "camera": "Lift"}
        for n in range(2)
    ]
    httpx2.post(server.url + "v1/enrol", json={"items": items}).raise_for_status()
    named = {"params": {"id": "p61"}, "json": {"name": "Grace Hope"}}
    httpx2.put(server.url + "v1/identity", **named).raise_for_status()
    case = created(server, "About Grace Hope")
    add(server, case, identity="p61", note="with a red bag")
    add(server, case, note="Grace Hope was here")
    page = open_page(server, f"case/{case}").page
    expect(entries(page).first).to_contain_text("with a red bag")
    expect(entries(page).first.locator("img")).to_have_count(2)
    httpx2.delete(server.url + "v1/identity", params={"id": "p61"}).raise_for_status()
    page.reload()
    expect(entries(page).first).to_contain_text("nothing of it is left")
    expect(entries(page).last).to_contain_text("[forgotten] was here")
    expect(page.locator("h1")).to_have_text("About [forgotten]")
    assert "Grace" not in page.content()
    assert "red bag" not in page.content()
    expect(page.locator(".case-entries img")).to_have_count(0)


def test_cases_are_changed_closed_and_deleted(open_page: Open, server: PageServer) -> None:
    case = created(server, "Lost umbrella")
    page = open_page(server, f"case/{case}").page
    dialog = page.get_by_role("dialog")
    button(page, "Add note").click()
    page.keyboard.type("Two lines\nof words")
    button(dialog, "Save").click()
    expect(entries(page)).to_contain_text("Two lines\nof words", use_inner_text=True)
    button(page, "Change").click()
    dialog.get_by_label("Title").fill("Found umbrella")
    button(dialog, "Save").click()
    expect(page.locator("h1")).to_have_text("Found umbrella")
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(page.locator("h1")).to_have_text("Lost umbrella")
    button(page, "Close case").click()
    expect(page.locator("header .badge", has_text="Closed")).to_be_visible()
    expect(button(page, "Add note")).to_have_count(0)
    expect(page.get_by_role("button", name=re.compile("^Remove entry"))).to_have_count(0)
    view(page, "cases")
    page.get_by_label("Show").select_option("Closed")
    page.get_by_label("Find").fill("umbr")
    expect(page.locator(".log-row a")).to_have_text(["Lost umbrella"])
    assert "state=closed" in page.url
    page.get_by_label("Show").select_option("Open")
    expect(page.get_by_text("No case meets this.")).to_be_visible()
    page.go_back()
    view(page, f"case/{case}")
    button(page, "Open again").click()
    button(page, "Remove entry 1?").click()
    button(dialog, "Remove for good").click()
    expect(page.get_by_text("Nothing in it yet")).to_be_visible()
    button(page, "Delete case").click()
    button(dialog, "Delete for good").click()
    expect(page.locator("main[data-view=cases]")).to_be_visible()
    assert case not in {one["id"] for one in ask(server, "v1/cases")["cases"]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_a_phone_shows_all(
    open_page: Open, server: PageServer, accessible: Accessible, scheme: str
) -> None:
    case = created(server, f"Umbrella in the {scheme}")
    add(server, case, identity="p3", note="a note")
    page = open_page(
        server, "cases", color_scheme=scheme, reduced_motion="reduce", viewport={"width": 360, "height": 760}
    ).page
    accessible(page, "list")
    page.get_by_label("Find").fill(scheme)
    expect(page.locator("main [role=status]", has_text="1 shown")).to_be_visible()
    button(page, "New case").click()
    accessible(page, "new case")
    page.keyboard.press("Escape")
    expect(button(page, "New case")).to_be_focused()
    view(page, f"case/{case}")
    expect(entries(page)).to_have_count(1)
    accessible(page, "case")
