"""The page's audit log and history: in words, by person, time, who and action, and as files."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import httpx2
from playwright.sync_api import Page, Route, expect

from omnireid.gallery.audit_export import verify_export
from server.page_browser import NEEDS_CHROMIUM, Open, ask, button, choose_person, settled, view
from server.page_server import PageServer

pytestmark = NEEDS_CHROMIUM


def entries_of(server: PageServer, **query: str) -> list[int]:
    return [one["seq"] for one in ask(server, "v1/audit", limit="1000", latest="true", **query)["entries"]]


def shown(page: Page) -> list[int]:
    settled(page)
    return page.locator(".log-row").evaluate_all("rows => rows.map((row) => Number(row.dataset.seq))")


def compare_items(server: PageServer, *people: str) -> None:
    items = [ask(server, "v1/items", identities=one)["items"][0]["id"] for one in people]
    sides = {side: {"item": item} for side, item in zip("ab", items, strict=True)}
    httpx2.post(server.url + "v1/verify", json=sides).raise_for_status()


def test_the_audit_in_words_by_action_person_and_time(open_page: Open, server: PageServer) -> None:
    compare_items(server, "p3", "p4")
    compare_items(server, "p5", "p6")
    page = open_page(server, "audit").page
    rows = page.locator(".log-row")
    expect(rows.filter(has_text="Somebody without a token compared two pictures.")).to_have_count(2)
    # Nothing reads as it is stored.
    assert re.search(r"[a-z]_[a-z]|[0-9a-f]{16}|\bnull\b|[{}\[\]]", page.locator(".log").inner_text()) is None
    first = rows.first
    first.get_by_text("Details").click()
    expect(first).to_contain_text("as hashes")
    assert shown(page) == entries_of(server)[:50]
    button(page, "Any person").click()
    choose_person(page, "p3", "p3")
    expect(page).to_have_url(re.compile("person=p3"))
    expect(rows.filter(has_text="compared two pictures")).to_have_count(1)
    assert shown(page) == entries_of(server, subject="p3")
    page.get_by_label("Action").select_option("verify")
    expect(rows).to_have_count(1)
    page.reload()
    expect(page.get_by_label("Action")).to_have_value("verify")
    expect(page.locator(".chip.is-on")).to_have_text("p3")
    assert shown(page) == entries_of(server, subject="p3", action="verify")
    button(page, "Remove p3").click()
    expect(rows).to_have_count(len(entries_of(server, action="verify")))
    page.get_by_label("Time").select_option("own")
    page.get_by_label("Until").fill("2001-01-01T00:00:00")
    page.get_by_label("Until").blur()
    expect(page.get_by_text("No entry meets these filters")).to_be_visible()
    page.get_by_label("Time").select_option("today")
    expect(rows).not_to_have_count(0)
    page.get_by_label("Who did it").fill("nobody of this name")
    page.get_by_label("Who did it").press("Enter")
    expect(page.get_by_text("No entry meets these filters")).to_be_visible()
    button(page, "Clear filters").click()
    expect(page.get_by_label("Who did it")).to_have_value("")
    assert shown(page) == entries_of(server)[:50]


def test_a_long_audit_goes_on_where_it_stopped(open_page: Open, server: PageServer) -> None:
    for _ in range(5):
        compare_items(server, "p3", "p4")
    page = open_page(server, "gallery").page

    def in_small_pages(route: Route) -> None:
        route.continue_(url=re.sub(r"limit=\d+", "limit=2", route.request.url))

    page.route("**/v1/audit?*", in_small_pages)
    view(page, "audit")
    expect(page.locator(".log-row")).to_have_count(2)
    button(page, "Show more").click()
    expect(page.locator(".log-row")).to_have_count(4)
    assert shown(page) == entries_of(server)[:4]


def test_the_audit_is_saved_as_files_that_prove_themselves(
    open_page: Open, server: PageServer, tmp_path: Path
) -> None:
    compare_items(server, "p3", "p4")
    page = open_page(server, "audit?action=verify").page
    expect(page.locator(".log-row").first).to_be_visible()
    with page.expect_download() as saving:
        button(page, "JSON Lines, with proof").click()
    assert re.fullmatch(r"audit-main-\d{4}-\d\d-\d\d\.jsonl", saving.value.suggested_filename)
    file = tmp_path / "audit.jsonl"
    saving.value.save_as(file)
    verified = verify_export(file)
    assert verified.problems == ()
    assert verified.entries == len(entries_of(server, action="verify")) + 1
    file.write_text(file.read_text().replace("compared two", "compared six", 1))
    assert verify_export(file).problems
    with page.expect_download() as saving:
        button(page, "CSV, for a spreadsheet").click()
    saving.value.save_as(file)
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8-sig"))))
    assert {one["action"] for one in rows[:-1]} == {"verify"}
    assert rows[-1]["what"].startswith("Somebody without a token exported the audit log as CSV")
    expect(page.locator(".toast", has_text="The log now says so")).not_to_have_count(0)
    view(page, "audit")
    # The form of the address before has another action; a choice made in it would go with it.
    expect(page.get_by_label("Action")).to_have_value("")
    page.get_by_label("Action").select_option("export-audit")
    expect(page.locator(".log-row")).to_have_count(2)


def test_the_history_by_kind_and_person(open_page: Open, server: PageServer) -> None:
    for identity, name in (("p7", "Bo"), ("p8", "Cy")):
        httpx2.put(
            server.url + "v1/identity", params={"id": identity}, json={"name": name}
        ).raise_for_status()
    page = open_page(server, "history").page
    rows = page.locator(".log-row")
    expect(rows.first).to_contain_text("Somebody without a token named p8 “Cy”")
    button(page, "Any person").click()
    choose_person(page, "Bo", "Bo")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("named p7 “Bo”")
    page.get_by_label("Action").select_option("merge")
    expect(page.get_by_text("No change meets these filters")).to_be_visible()
    page.reload()
    expect(page.get_by_text("No change meets these filters")).to_be_visible()
    page.get_by_label("Action").select_option("name")
    button(page, "Undo").click()
    expect(rows.filter(has_text="Undone")).to_have_count(1)
