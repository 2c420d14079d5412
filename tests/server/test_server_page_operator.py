"""An hour's work with the page: several pictures of one person, filters, links, changes and their undo."""

from __future__ import annotations

import base64
import io
import re
from datetime import datetime, timedelta, timezone
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from server.page_browser import (
    NEEDS_CHROMIUM,
    REFUSED,
    Accessible,
    Open,
    ask,
    button,
    choose,
    choose_person,
    file_of,
    search_for,
    settled,
    two_people,
    view,
)
from server.page_server import PageServer, picture

pytestmark = NEEDS_CHROMIUM

DROP = """([kind, pictures]) => {
    const transfer = new DataTransfer();
    pictures.forEach((bytes, index) =>
        transfer.items.add(new File([new Uint8Array(bytes)], `${kind}${index}.jpg`, { type: "image/jpeg" })));
    const options = { bubbles: true, cancelable: true };
    document.dispatchEvent(kind === "paste"
        ? new ClipboardEvent(kind, { ...options, clipboardData: transfer })
        : new DragEvent(kind, { ...options, dataTransfer: transfer }));
}"""


def enrol(server: PageServer, content: bytes, **place: Any) -> str:
    """Id of a picture that was not there before."""
    item = {"image": base64.b64encode(content).decode(), **place}
    (answer,) = (
        httpx2.post(server.url + "v1/enrol", json={"items": [item]}).raise_for_status().json()["items"]
    )
    assert answer["is_new"]
    return str(answer["id"])


def searched(page: Page) -> dict[str, Any]:
    """What the next press of the button asks for."""
    with page.expect_request("**/v1/search*") as request:
        page.get_by_role("button", name=re.compile("^Search( again)?$")).click()
    expect(page.locator("[aria-busy]")).to_have_count(0)
    body: dict[str, Any] = request.value.post_data_json
    return body


def test_several_pictures_are_one_search(page: Page) -> None:
    files = [file_of(picture(4, 0, n), f"seen{n}.jpg") for n in range(2)] + [file_of(two_people(), "two.png")]
    page.locator("input[type=file]").first.set_input_files(files)
    expect(page.get_by_text("One person, 3 pictures")).to_be_visible()
    button(page, "Box in two.png").click()
    dialog = page.get_by_role("dialog")
    button(dialog, "Draw a box").click()
    for keys in ("ArrowLeft", "Shift+ArrowRight", "Control+ArrowUp"):
        page.keyboard.press(keys)
    said = dialog.locator(".stage .sr-only").last
    expect(said).to_contain_text("pixels, ")
    width, height, left, top = (int(one) for one in re.findall(r"\d+", said.inner_text()))
    button(dialog, "Save").click()
    asked = searched(page)
    assert len(asked["images"]) == 3
    assert [base64.b64decode(one) for one in asked["images"][:2]] == [picture(4, 0, n) for n in range(2)]
    # Its box is cut out here: the same pixels as another library cuts out.
    sent = np.asarray(Image.open(io.BytesIO(base64.b64decode(asked["images"][2]))).convert("RGB"))
    whole = np.asarray(Image.open(io.BytesIO(two_people())))
    assert np.array_equal(sent, whole[top : top + height, left : left + width])
    expect(page.locator(".group h3").first).to_have_text("p4")
    expect(page.locator(".verdict")).to_contain_text("Scores are of whole tracklets")
    button(page, "Remove seen0.jpg").click()
    expect(page.get_by_text("One person, 2 pictures")).to_be_visible()
    button(page, "Remove two.png").click()
    expect(page.locator(".stage img")).to_have_attribute("alt", "Your picture seen1.jpg")
    assert "image" in searched(page)


def test_several_pictures_are_dropped_pasted_and_enrolled_together(page: Page, server: PageServer) -> None:
    expect(button(page, "Choose a file")).to_be_visible()
    page.evaluate(DROP, ["drop", [list(picture(52, 0, n)) for n in range(2)]])
    expect(page.get_by_text("One person, 2 pictures")).to_be_visible()
    page.evaluate(DROP, ["paste", [list(picture(52, 0, 2))]])
    expect(page.get_by_text("One person, 3 pictures")).to_be_visible()
    page.evaluate(DROP, ["paste", [[1, 2, 3]]])
    expect(page.locator(".complaint")).to_have_text(re.compile("paste0.jpg is not a picture"))
    expect(page.locator(".tracklet .tile")).to_have_count(3)
    searched(page)
    button(page, "Enrol 3 pictures as a new person").click()
    expect(page.locator(".entry")).to_have_count(3)
    page.get_by_label("A new person: Name (optional)").fill("Tess")
    button(page, "Enrol 3 pictures").click()
    expect(page.locator(".entry-status.good")).to_have_count(3)
    assert ask(server, "v1/identities", text="Tess")["identities"][0]["items"] == 3


def test_attributes_are_exact_in_value_and_type(page: Page, server: PageServer) -> None:
    wanted = enrol(
        server, picture(53, 0, 0), attributes={"bag": True, "floor": 2, "code": "2"}, camera="Lift"
    )
    enrol(server, picture(53, 0, 1), attributes={"bag": "true", "floor": 3, "code": "2"}, camera="Lift")
    choose(page, picture(53, 0, 2))
    for name, value in (("floor", "3"), ("bag", "true"), ("code", '"2"'), ("floor", "2")):
        page.get_by_label("Attributes: name").fill(name)
        page.get_by_label("Attributes: value").fill(value)
        page.keyboard.press("Enter")
    expect(page.locator(".chip.is-on")).to_have_text(["bag = true", 'code = "2"', "floor = 2"])
    assert searched(page)["attributes"] == {"bag": True, "code": "2", "floor": 2}
    expect(page.locator(".candidate")).to_have_count(1)
    expect(page.locator(".verdict")).to_contain_text('Only: bag = true · code = "2" · floor = 2')
    page.locator(".candidate").click()
    expect(page.get_by_role("dialog")).to_contain_text(wanted)
    page.keyboard.press("Escape")
    button(page, "Remove floor = 2").click()
    button(page, "Clear filters").click()
    assert "attributes" not in searched(page)
    # What an item shows leads to all that have it.
    page.locator(".candidate", has_text="Lift").first.click()
    button(page.get_by_role("dialog"), "Only pictures with floor = 2").click()
    expect(page.locator(".chip.is-on")).to_have_text(["floor = 2"])
    expect(page.locator(".candidate")).to_have_count(1)
    page.get_by_label("Attributes: name").fill("floor")
    page.get_by_label("Attributes: value").fill("99")
    button(page, "Add").click()
    searched(page)
    expect(page.get_by_text("Nothing in the gallery meets: floor = 99.")).to_be_visible()
    button(page, "Clear filters and search").click()
    expect(page.locator(".verdict")).to_be_visible()


def test_rate_and_prior_in_words(page: Page) -> None:
    choose(page, picture(3, 0, 0))
    page.get_by_label("Wanted false-alarm rate").select_option("0.05")
    rate = "At 5 %: of 100 searches for strangers, about 5 end in “likely the same person”."
    expect(page.locator(".filters")).to_contain_text(rate)
    asked = searched(page)
    assert (asked["false_alarm_rate"], asked["prior"]) == (0.05, 0.5)
    before = page.locator(".likeness-number").first.inner_text()
    page.get_by_label("How likely is it, before looking").select_option("0.01")
    assert searched(page)["prior"] == 0.01
    assert page.locator(".likeness-number").first.inner_text() != before


def test_an_address_says_gallery_search_and_filters(open_page: Open, server: PageServer) -> None:
    first, second = (ask(server, "v1/items", identities=f"p{n}")["items"][0]["id"] for n in (3, 4))
    since = "camera=Hall&person=p1&since=2026-01-01T00:00"
    where = "person=p1&attribute=bag%3Dtrue&rate=0.1&prior=0.1&number=20"
    watched = open_page(server, f"search?item={first}&{since}&exact=1")
    page = watched.page
    expect(page.locator(".verdict")).to_contain_text(
        re.compile(r"Only: Hall · from 1 Jan 2026, 00:00 UTC\S* · Ada · exact")
    )
    expect(page.locator(".chip", has_text="Hall").locator("input")).to_be_checked()
    assert "gallery=main" in page.url
    page.locator(".candidate").first.click()
    button(page.get_by_role("dialog"), "Search with this").click()
    expect(page).not_to_have_url(re.compile(first))
    settled(page)
    page.get_by_label("Exact: compare with every picture").uncheck()
    searched(page)
    assert "exact" not in page.url
    page.go_back()
    expect(page.get_by_label("Exact: compare with every picture")).to_be_checked()
    settled(page)
    page.go_back()
    expect(page).to_have_url(re.compile(f"item={first}"))
    expect(page.locator(".verdict")).to_contain_text("Hall")
    # The user's own picture has no address, but this tab knows it.
    view(page, "people")
    page.goto(f"{server.url}#/search?{where}")
    expect(page.locator(".chip.is-on")).to_have_text(["Ada", "bag = true"])
    chosen = {
        "Wanted false-alarm rate": "0.1",
        "How likely is it, before looking": "0.1",
        "People to show": "20",
    }
    for label, value in chosen.items():
        expect(page.get_by_label(label)).to_have_value(value)
    button(page, "Clear filters").click()
    search_for(page, picture(5, 0, 0))
    page.get_by_label("Only pictures that nobody has assigned to a person").check()
    assert searched(page)["has_identity"] is False
    expect(page.locator(".verdict")).to_contain_text("not assigned")
    assert "unassigned=1" in page.url
    expect(page.locator(".verdict")).not_to_contain_text("p5")
    button(page, "Clear filters").click()
    searched(page)
    page.goto(f"{server.url}#/search?item={second}")
    expect(page.locator(".slot-item")).to_be_visible()
    settled(page)
    page.go_back()
    expect(page.locator(".stage img")).to_be_visible()
    expect(page.locator(".verdict h2")).to_contain_text("p5")
    # What is not there any more is said.
    page.goto(f"{server.url}#/search?item={'0' * 32}")
    expect(page.locator(".complaint")).to_contain_text("may have been forgotten")
    watched.expect_errors(REFUSED)
    page.goto(f"{server.url}#/people?gallery=yard")
    expect(page.get_by_text("There is no gallery called yard")).to_be_visible()
    page.goto(f"{server.url}#/people?gallery=empty")
    expect(page.get_by_text("Nobody here yet")).to_be_visible()
    expect(page.get_by_label("Gallery", exact=True)).to_have_value("empty")
    page.go_back()
    page.goto(f"{server.url}#/pictures?gallery=main&camera=Hall&person=p4")
    expect(page.locator("main .tile")).to_have_count(2)
    page.get_by_label("Show").select_option("false")
    expect(page.get_by_text("Nothing is enrolled that meets these filters.")).to_be_visible()
    view(page, "people")
    page.go_back()
    expect(page.get_by_label("Show")).to_have_value("false")
    button(page.locator("main"), "Clear filters").click()
    expect(page.locator("main .tile").nth(20)).to_be_visible()


def test_same_person_in_two_presses_and_undo(open_page: Open, server: PageServer) -> None:
    mine = enrol(server, picture(54, 0, 0), camera="Door", tracklet="mine")
    theirs = [enrol(server, picture(54, 0, n), camera="Door", tracklet="theirs") for n in (1, 2)]

    def whose(item: str) -> str | None:
        found: str | None = ask(server, f"v1/items/{item}")["identity"]
        return found

    page = open_page(server, f"search?item={mine}&camera=Door").page
    undo = page.get_by_role("button", name=re.compile("Undo what you did last"))
    expect(undo).to_have_count(0)
    # Both unknown: one name for all.
    button(page, "Same person: name all 3 pictures").click()
    page.get_by_role("dialog").get_by_label("Name of the new person").fill("Uma")
    page.keyboard.press("Enter")
    expect(page.locator(".group h3").first).to_have_text("Uma")
    uma = whose(mine)
    assert uma is not None
    assert [whose(one) for one in theirs] == [uma, uma]
    undo.click()
    expect(button(page, "Same person: name all 3 pictures")).to_be_visible()
    assert whose(mine) is None
    expect(undo).to_have_count(0)

    # They are known: mine joins, by the dialog of a candidate.
    split = {"items": theirs, "name": "Vic"}
    vic = httpx2.post(server.url + "v1/identities/split", json=split).json()["identity"]
    searched(page)
    page.locator(".candidate").first.click()
    button(page.get_by_role("dialog"), "Same person: your picture is Vic").click()
    expect(page.locator(".toast", has_text="Assigned.").last).to_be_visible()
    assert whose(mine) == vic
    # Somebody else is asked about first.
    other = enrol(server, picture(54, 0, 3), camera="Door", identity="other")
    searched(page)
    button(page, "Same person: merge into Vic").click()
    button(page.get_by_role("dialog"), "One person: merge").click()
    expect(page.locator(".group h3")).to_have_text(["Vic"])
    assert ask(server, f"v1/identities/{whose(other)}")["id"] == vic
    # By key, and never what another did.
    page.locator("main").focus()
    for _ in range(3):
        page.keyboard.press("u")
    expect(page.locator(".toast", has_text="You changed nothing that could be undone")).to_be_visible()
    expect(undo).to_have_count(0)
    assert whose(mine) is None
    assert ask(server, f"v1/identities/{vic}")["name"] == "Vic"

    # A picture of the user's: enrolled as who was found.
    choose(page, picture(54, 0, 4))
    searched(page)
    page.locator(".candidate").first.click()
    button(page.get_by_role("dialog"), "Same person: enrol as Vic").click()
    button(page, "Enrol 1 picture").click()
    expect(page.locator(".entry-status.good")).to_have_count(1)
    assert ask(server, f"v1/identities/{vic}")["items"] == 3


def test_step_through_candidates_and_copy_an_id(open_page: Open, server: PageServer) -> None:
    page = open_page(server).page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    search_for(page, picture(3, 0, 0))
    count = page.locator(".candidate").count()
    page.locator(".candidate").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".steps")).to_have_text(f"1 of {count}")
    seen = [dialog.locator("code").inner_text()]
    page.keyboard.press("ArrowLeft")
    for place in (2, 3):
        page.keyboard.press("ArrowRight")
        expect(dialog.locator(".steps")).to_have_text(f"{place} of {count}")
        seen.append(dialog.locator("code").inner_text())
    assert len(set(seen)) == 3
    button(dialog, "Previous picture (left arrow)").click()
    expect(dialog.locator("code")).to_have_text(seen[1])
    assert dialog.evaluate("dialog => dialog.contains(document.activeElement)")
    button(dialog, "Copy the id").click()
    expect(dialog.get_by_text("Copied")).to_be_attached()
    assert page.evaluate("navigator.clipboard.readText()") == seen[1]
    page.keyboard.press("Escape")
    # An id that was copied finds a person without a name.
    button(page.locator(".filters"), "Anybody").click()
    choose_person(page, "p4", "p4")
    assert searched(page)["identities"] == ["p4"]
    # The arrow keys go on in a list of pictures too.
    view(page, "person/p3")
    page.locator(".sighting .bare").first.click()
    expect(dialog.locator(".steps")).to_have_text(re.compile("^1 of "))


def test_an_answer_that_comes_late_does_not_replace_a_later_one(open_page: Open, server: PageServer) -> None:
    page = open_page(server).page
    held: list[Route] = []
    page.route(
        re.compile("/v1/identities"),
        lambda route: route.continue_() if "text=" in route.request.url else held.append(route),
    )
    button(page.locator(".filters"), "Anybody").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("p4")
    expect(dialog.locator(".choice")).to_have_count(1)
    with page.expect_response(lambda answer: answer.request == held[0].request) as late:
        held[0].continue_()
    late.value.finished()
    page.wait_for_timeout(200)
    expect(dialog.locator(".choice")).to_have_count(1)


def test_a_search_on_paper(page: Page) -> None:
    search_for(page, picture(3, 0, 0))
    page.evaluate("() => { window.print = () => { document.title = 'printed'; }; }")
    button(page, "Print").click()
    expect(page).to_have_title("printed")
    # Also what was never scrolled to has its picture.
    assert page.locator(".groups .thumb:not(:has(img))").count() == 0
    page.emulate_media(media="print")
    for hidden in (".top-frame", ".filters", "button.primary"):
        expect(page.locator(hidden).first).to_be_hidden()
    for shown in (".verdict", ".asked img", ".candidate"):
        expect(page.locator(shown).first).to_be_visible()


def test_several_people_are_searched_for_collected_watched_joined_and_forgotten(
    open_page: Open, server: PageServer
) -> None:
    names = [f"crowd-{n}" for n in range(4)]
    items = [
        {"image": base64.b64encode(picture(62 + n, 0, 0)).decode(), "identity": name, "camera": "Yard"}
        for n, name in enumerate(names)
    ]
    httpx2.post(server.url + "v1/enrol", json={"items": items}, timeout=30).raise_for_status()
    ends = (datetime.now(timezone.utc) + timedelta(days=9)).isoformat()
    case = {"title": "Crowd", "reason": "a test", "ends": ends}
    address = httpx2.post(server.url + "v1/cases", json=case).raise_for_status().json()["id"]
    page = open_page(server, "people").page
    dialog, bar = page.get_by_role("dialog"), page.locator(".selection-bar")
    tiles = page.locator(".person-tile")

    def choose_crowd() -> None:
        """By keys: one, and from there all to another."""
        tiles.filter(has_text="crowd-0").locator(".bare").press("x")
        tiles.filter(has_text="crowd-3").locator(".bare").press("Shift+X")
        expect(bar).to_contain_text("4 people chosen")

    choose_crowd()
    button(bar, "Find more of each").click()
    tabs = page.get_by_role("tab")
    expect(tabs).to_have_text([re.compile(f"^{name}") for name in names])
    expect(page.get_by_text("Searching…")).to_have_count(0)
    page.get_by_role("link", name="People").first.click()
    choose_crowd()
    button(bar, "Add to case").click()
    dialog.get_by_label("Note (optional)").fill("came together")
    dialog.get_by_role("button", name=re.compile("^Crowd")).click()
    expect(page.locator(".toast")).to_contain_text("Added to “Crowd”.")
    entries = ask(server, f"v1/cases/{address}")["entries"]
    assert [(one["person"]["identity"], one["note"]) for one in entries] == [
        (name, "came together") for name in names
    ]
    tiles.filter(has_text="crowd-0").locator(".pick").uncheck()
    button(bar, "Merge into one person").click()
    expect(dialog).to_contain_text("Merged into crowd-1: crowd-2, crowd-3.")
    button(dialog, "Merge into one person").click()
    expect(tiles.filter(has_text="crowd-1")).to_contain_text("3 pictures")
    expect(bar).to_be_hidden()
    tiles.filter(has_text="crowd-0").locator(".pick").check()
    tiles.filter(has_text="crowd-1").locator(".pick").click(modifiers=["Shift"])
    button(bar, "Watch for").click()
    expect(dialog.get_by_role("heading", level=2)).to_have_text("Watch for crowd-0, crowd-1")
    dialog.get_by_label("Reason").fill("a test")
    button(dialog, "Watch").click()
    expect(page.locator(".watched h3")).to_have_count(2)
    assert sorted(page.locator(".watched h3").all_inner_texts()) == ["crowd-0", "crowd-1"]
    view(page, "people")
    tiles.filter(has_text="crowd-0").locator(".bare").press("x")
    tiles.filter(has_text="crowd-1").locator(".bare").press("x")
    button(bar, "Forget").click()
    expect(dialog).to_contain_text("4 pictures of 1 camera")
    expect(button(dialog, "Forget for good")).to_be_disabled()
    dialog.get_by_label("Type 2 to confirm").fill("2")
    button(dialog, "Forget for good").click()
    expect(page.locator(".toast", has_text="4 pictures forgotten")).to_be_visible()
    expect(tiles.filter(has_text="crowd")).to_have_count(0)
    assert httpx2.get(server.url + "v1/identity", params={"id": "crowd-3"}).status_code == 404


@pytest.mark.parametrize("width", [1280, 360])
def test_new_states_are_accessible_and_fit(
    open_page: Open, server: PageServer, accessible: Accessible, width: int
) -> None:
    size = {"width": width, "height": 800}
    scheme = "light" if width > 1000 else "dark"
    page = open_page(server, viewport=size, color_scheme=scheme, reduced_motion="reduce").page
    files = [file_of(picture(4, 0, n), f"a-long-name-of-a-picture-{n}.jpg") for n in range(3)]
    page.locator("input[type=file]").first.set_input_files(files)
    if width < 1000:
        page.locator(".filters summary").click()
    page.get_by_label("Attributes: name").fill("a-name-that-is-longer-than-most")
    page.get_by_label("Attributes: value").fill("and-a-value-that-is-longer-still")
    button(page, "Add").click()
    searched(page)
    accessible(page, "several pictures, attributes, nothing found")
    button(page, "Clear filters and search").click()
    expect(page.locator(".verdict")).to_be_visible()
    page.locator(".candidate").nth(1).click()
    accessible(page, "stepping through candidates")
    page.keyboard.press("Escape")
    view(page, "person/p3")
    button(page, "Name").click()
    page.get_by_role("dialog").get_by_label("Name", exact=True).fill("Cleo")
    page.keyboard.press("Enter")
    undo = page.get_by_role("button", name=re.compile("Undo what you did last"))
    expect(undo).to_be_visible()
    accessible(page, "undo in the header")
    undo.click()
    expect(undo).to_have_count(0)


@pytest.mark.parametrize("identity", ["building-2/ann", "..", "a?b#c%2Fd", "x/timeline", "张伟"])
def test_whoever_was_enrolled_is_shown_named_and_forgotten(
    page: Page, server: PageServer, identity: str
) -> None:
    enrol(server, picture(45, 1, 0), identity=identity, camera="Roof")
    view(page, "people")
    page.locator(".person-tile", has_text=identity).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(identity)
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text(identity)
    button(page, "Name").click()
    # As a keyboard of macOS or Vietnamese Windows may write it, and with a space too many.
    page.get_by_role("dialog").get_by_label("Name", exact=True).fill(" Zoe\u0301 ")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Zo\u00e9")).to_be_visible()
    assert ask(server, "v1/identity", id=identity)["name"] == "Zo\u00e9"
    button(page, "Forget person").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill("Zo\u00e9")
    dialog.get_by_role("button", name=re.compile("Forget")).click()
    expect(page.locator("main[data-view=people]")).to_be_visible()
    assert httpx2.get(server.url + "v1/identity", params={"id": identity}).status_code == 404


def test_a_person_is_found_by_an_id_of_any_form(page: Page, server: PageServer) -> None:
    enrol(server, picture(45, 1, 0), identity="Site 2/7", camera="Roof")
    view(page, "person/p3")
    button(page, "Merge into…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("searchbox").fill("Site 2/7")
    expect(dialog.locator(".choice")).to_have_count(1)
    expect(dialog.locator(".choice")).to_have_text(re.compile("Site 2/7"))
    expect(dialog.locator(".choice img")).to_be_visible()  # or it is asked for when it is gone
    page.keyboard.press("Escape")
    assert httpx2.delete(server.url + "v1/identity", params={"id": "Site 2/7"}).json() == {"forgotten": 1}
