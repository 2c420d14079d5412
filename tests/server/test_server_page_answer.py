"""What an answer says, and of which question: its own, whatever was chosen since."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from server.page_browser import (
    NEEDS_CHROMIUM,
    Accessible,
    Open,
    ask,
    button,
    choose,
    file_of,
    search_for,
    settled,
    two_people,
    view,
)
from server.page_server import STRANGER, PageServer, picture

pytestmark = NEEDS_CHROMIUM

EARLIER = "This answer belongs to an earlier question."


def name_of_asked(page: Page) -> str:
    """What the answer says that it was asked with."""
    return page.locator(".asked figcaption span").nth(1).inner_text()


def grey(page: Page) -> bool:
    """Whether the verdict has no colour that says yes or no."""
    red, green, blue = page.locator(".verdict").evaluate(
        "one => getComputedStyle(one).backgroundColor.match(/\\d+/g).map(Number)"
    )[:3]
    return max(red, green, blue) - min(red, green, blue) < 12


def test_whatever_changes_the_question_is_said(page: Page, server: PageServer) -> None:
    choose(page, two_people(), "two.png")
    button(page, "Draw a box").click()
    button(page, "Search").click()
    verdict, notice = page.locator(".verdict"), page.get_by_text(EARLIER)
    expect(verdict).to_be_visible()
    asked_for = page.url
    title = page.locator(".verdict h2").inner_text()

    def attribute() -> None:
        page.get_by_label("Attributes: name").fill("bag")
        page.get_by_label("Attributes: value").fill("true")
        button(page, "Add").click()

    def person() -> None:
        page.get_by_label("Person", exact=True).get_by_role("button").click()
        page.locator(".choice", has_text="Ada").click()

    def another_item() -> None:
        button(page, "Gallery").first.click()
        page.get_by_role("dialog").locator(".tile").first.click()

    def moved_box() -> None:
        page.locator(".box").focus()
        page.keyboard.press("ArrowRight")

    chance = "How likely is it, before looking, that this person is in the gallery at all?"
    changes: dict[str, Callable[[], Any]] = {
        "picture": lambda: choose(page, picture(5, 0, 0), "other.jpg"),
        "another picture": lambda: (
            page.locator("input[type=file]").nth(1).set_input_files(file_of(picture(5, 0, 0), "more.jpg"))
        ),
        "item": another_item,
        "box": moved_box,
        "no box": lambda: button(page, "Whole picture").click(),
        "camera": lambda: page.locator(".chip", has_text="Hall").click(),
        "since": lambda: page.get_by_label("From").fill("2026-01-01T00:00:00"),
        "until": lambda: page.get_by_label("Until").fill("2027-01-01T00:00:00"),
        "person": person,
        "unassigned": lambda: page.get_by_label("Only pictures that nobody has assigned").check(),
        "attribute": attribute,
        "rate": lambda: page.get_by_label("Wanted false-alarm rate").select_option("0.1"),
        "prior": lambda: page.get_by_label(chance).select_option("0.01"),
        "number": lambda: page.get_by_label("People to show").select_option("5"),
        "exact": lambda: page.get_by_label("Exact: compare with every picture").check(),
        "rerank": lambda: page.get_by_label("Compare candidates with each other").check(),
    }
    expect(notice).to_have_count(0)
    assert not grey(page)
    for name, change in changes.items():
        change()
        expect(notice, name).to_have_count(1)
        assert grey(page), name
        # What is there is still the answer to what was asked, and says so.
        assert name_of_asked(page) == "two.png", name
        assert page.url == asked_for, name
        button(page, "Back to that question").click()
        expect(notice).to_have_count(0)
        expect(page.locator(".verdict h2")).to_have_text(title)
        assert not grey(page)
    # The other gallery has no answer yet.
    page.get_by_label("Gallery", exact=True).first.select_option("empty")
    expect(verdict).to_have_count(0)


def test_paper_enrolling_and_comparing_take_the_answers_own_picture(page: Page, server: PageServer) -> None:
    choose(page, two_people(), "two.png")
    button(page, "Draw a box").click()
    with page.expect_request("**/v1/search*") as request:
        button(page, "Search").click()
    region = request.value.post_data_json["region"]
    expect(page.locator(".verdict")).to_be_visible()
    choose(page, picture(STRANGER, 1, 0), "stranger.jpg")
    expect(page.get_by_text(EARLIER)).to_be_visible()
    page.emulate_media(media="print")
    expect(page.locator(".asked img")).to_be_visible()
    expect(page.locator(".asked")).to_contain_text("Filters: none")
    expect(page.locator(".stage")).to_be_hidden()
    assert "stranger.jpg" not in page.locator(".results").inner_text()
    page.emulate_media(media="screen")
    page.locator(".candidate").first.click()
    expect(page.get_by_role("dialog").locator("figure img").first).to_have_attribute(
        "alt", "Your picture two.png"
    )
    page.keyboard.press("Escape")
    button(page, "Enrol picture as this person").first.click()
    expect(page.locator(".entry")).to_have_count(1)
    expect(page.locator(".entry")).to_contain_text("two.png")
    expect(page.locator(".entry")).to_contain_text(f"{region['width']} × {region['height']}")
    # A box that is changed there is no other question.
    page.locator(".entry").get_by_role("button", name=re.compile(" × ")).click()
    button(page.get_by_role("dialog"), "Remove box").click()
    button(page.get_by_role("dialog"), "Save").click()
    view(page, "search")
    button(page, "Back to that question").click()
    expect(page.locator(".box")).to_be_visible()
    expect(page.get_by_text(EARLIER)).to_have_count(0)


def answered(page: Page, change: Callable[[dict[str, Any]], None]) -> None:
    """Let the server's answers to searches come with other numbers."""

    def fulfil(route: Route) -> None:
        response = route.fetch()
        answer = response.json()
        change(answer)
        route.fulfill(response=response, body=json.dumps(answer))

    page.route("**/v1/search*", fulfil)


def through_ninety(answer: dict[str, Any], best: float, decision: str, **more: Any) -> None:
    """As the server weighs a search through 90 people: `best`, the other ones, the rest and nobody are 1."""
    first, *others = answer["groups"]
    first.update(probability=best, decision=decision)
    for group in others:
        group.update(probability=0.06 * (1 - best) / len(others), decision="unsure")
    answer.update(
        decision=decision, nobody=0.9 * (1 - best), others=0.04 * (1 - best), people=90, prior=0.5,
        false_alarm_rate=0.001, same_from=0.97,
        measured={"people": 90, "rate": 0.0008, "low": 0.0003, "high": 0.0019, "is_extrapolated": False},
    )  # fmt: skip
    answer.update(more)


def test_who_else_and_nobody_stand_beside_the_best(page: Page) -> None:
    answered(page, lambda answer: through_ninety(answer, 0.98, "same"))
    search_for(page, picture(3, 0, 0))
    expect(page.locator(".verdict h2")).to_have_text("Likely the same person: p3")
    shares = page.locator(".shares dl > div").evaluate_all(
        "all => Object.fromEntries(all.map((one) => [one.className, one.lastChild.textContent]))"
    )
    assert shares == {"likeliest": "98 %", "below": "0.1 %", "others": "< 0.1 %", "nobody": "1.8 %"}
    widths = page.locator(".share").evaluate_all("all => all.map((one) => parseFloat(one.style.inlineSize))")
    assert sum(widths) == pytest.approx(100, abs=0.01)
    verdict = page.locator(".verdict")
    expect(verdict).to_contain_text("Nobody in this gallery")
    for words in (
        "Searched through 90 people.",
        "Of 1,000 searches for strangers through these 90 people, about 0.8 end in “likely the same person”",
        "0.3 to 1.9, with 95 % confidence",
        "“Likely the same person” is said from 97 % on.",
        "the chance that this person is in the gallery at all was taken to be 50 %",
    ):
        expect(verdict).to_contain_text(words)
    expect(page.locator(".caution")).to_have_count(0)
    # A picture has a score; the probability is its person's.
    expect(page.locator(".candidate-likeness").first).to_contain_text("1.000")


def test_a_verdict_stands_beside_its_number(page: Page) -> None:
    said = {"best": 0.46, "decision": "unsure"}
    extrapolated = {"people": 30, "rate": 0.004, "low": 0.001, "high": 0.02, "is_extrapolated": True}
    answered(page, lambda answer: through_ninety(answer, **said, measured=extrapolated))
    search_for(page, picture(3, 0, 0))
    heading = page.locator(".verdict h2")
    expect(heading).to_have_text("Unsure: look at the candidates yourself")
    expect(page.locator(".group .badge").first).to_have_text("Unsure")
    expect(page.locator(".shares .likeliest dd")).to_have_text("46 %")
    expect(page.locator(".caution")).to_contain_text(
        "measured with 30 people only. With 90 people it is an estimate"
    )
    said.update(best=0.02, decision="new")
    button(page, "Search again").click()
    settled(page)
    expect(heading).to_contain_text("Likely nobody in this gallery")
    expect(page.locator(".shares .nobody dd")).to_have_text("88 %")


TIME = r"\d{1,2} [A-Z][a-z]{2,3} 2026, \d\d:\d\d"


def test_every_time_has_a_year_and_one_style(open_page: Open, server: PageServer) -> None:
    page = open_page(server, locale="en-US", timezone_id="Asia/Kathmandu").page
    since = page.get_by_label("From")
    expect(since).to_have_attribute("placeholder", "2 Mar 2026, 08:05")
    assert page.locator("main input[type^=date]:not(.native)").count() == 0
    choose(page, picture(3, 0, 0))
    since.fill("03/02/2026")
    since.press("Control+Enter")
    # Two dates in one: nothing is searched before it is clear which.
    assert since.evaluate("one => one.validationMessage").startswith("Write day, month by name")
    expect(page.locator(".verdict, .loading")).to_have_count(0)
    since.fill("2 March 2026 08:05")
    with page.expect_request("**/v1/search*") as request:
        since.press("Control+Enter")
    assert request.value.post_data_json["since"] == "2026-03-02T02:20:00.000Z"
    expect(since).to_have_value("2 Mar 2026, 08:05")
    expect(page.locator(".verdict")).to_contain_text("Only: from 2 Mar 2026, 08:05 UTC+5:45")
    times = page.locator(".candidate .tile-line.hint:last-child").all_inner_texts()
    assert times
    assert all(re.fullmatch(TIME, one) for one in times)
    expect(page.locator(".last-seen")).to_have_text(
        re.compile(r"p3 was last seen: Car park, 2 Mar 2026, 16:00:01 UTC\+5:45")
    )
    expect(page.locator(".axis-days")).to_have_text("2 Mar 2026, UTC+5:45")
    button(page, "Last 7 days").click()
    expect(since).to_have_value(re.compile(f"^{TIME}$"))
    expect(page.get_by_label("Until")).to_have_value("")


def test_people_are_found_by_what_they_are_shown_as(page: Page, server: PageServer) -> None:
    items = [one["id"] for one in ask(server, "v1/items", identities="p6")["items"][:1]]
    split = httpx2.post(server.url + "v1/identities/split", json={"items": items}).json()
    view(page, "people")
    find = page.get_by_role("searchbox")
    label = f"Person {split['identity'][:8]}"
    for shown in ("p4", label, label.lower()):
        find.fill(shown)
        tile = page.locator(".person-tile")
        expect(tile).to_have_count(1)
        expect(tile.locator(".strong")).to_have_text(shown, ignore_case=True)
    view(page, "search")
    page.get_by_label("Person", exact=True).get_by_role("button").click()
    page.get_by_label("Name", exact=True).fill(label)
    expect(page.locator(".choice")).to_have_count(1)
    httpx2.post(f"{server.url}v1/operations/{split['id']}/undo").raise_for_status()


def as_png(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def test_a_picture_that_shows_too_little_is_said(page: Page) -> None:
    person = Image.open(io.BytesIO(picture(3, 1, 0)))
    heading, caution = page.locator(".verdict h2"), page.locator(".caution")

    def expect_unsure(words: str, name: str = "") -> None:
        expect(page.locator(".query")).to_contain_text(name)
        page.keyboard.press("Control+Enter")
        expect(page.locator(".caution")).to_contain_text(words)
        expect(heading).to_have_text("Unsure: look at the candidates yourself")
        assert page.locator(".results").get_by_text("Likely the same person", exact=True).count() == 0

    choose(page, as_png(person.resize((8, 8))), "tiny.png")
    expect_unsure("Too small to tell people apart: 8 pixels high", "tiny.png")
    choose(page, as_png(Image.new("RGB", (64, 128), (90, 91, 92))), "wall.png")
    expect_unsure("nearly all of it has one colour", "wall.png")
    choose(page, picture(3, 1, 0))
    expect(page.locator(".query")).to_contain_text("somebody.jpg")
    page.keyboard.press("Control+Enter")
    expect(heading).to_have_text("Likely the same person: p3")
    expect(caution).to_have_count(0)
    button(page, "Draw a box").click()
    for _ in range(60):
        page.keyboard.press("Shift+ArrowUp")
    expect_unsure("Too small to tell people apart")
    view(page, "compare")
    choose(page, picture(3, 0, 0), slot=0)
    choose(page, as_png(person.resize((8, 8))), "tiny.png", slot=1)
    button(page, "Compare").click()
    expect(caution).to_contain_text("Second picture: Too small to tell people apart: 8 pixels high")
    expect(page.locator(".outcome .badge")).to_have_text("Unsure")


def test_a_reload_keeps_the_search_and_another_gallery_deletes_it(
    open_page: Open, server: PageServer
) -> None:
    page = open_page(server).page
    stored = "() => Object.keys(sessionStorage).filter((name) => name.startsWith('omnireid-picture')).length"
    choose(page, two_people(), "two.png")
    button(page, "Draw a box").click()
    page.wait_for_function(f"() => ({stored})() === 2")
    # Before it was searched for, and after.
    page.reload()
    expect(page.locator(".box")).to_be_visible()
    page.locator(".chip", has_text="Hall").click()
    button(page, "Search").click()
    expect(page.locator(".verdict")).to_contain_text("Only: Hall")
    shown, box = page.locator(".verdict h2").inner_text(), page.locator(".box").get_attribute("style")
    page.reload()
    expect(page.locator(".verdict h2")).to_have_text(shown)
    assert page.locator(".box").get_attribute("style") == box
    assert name_of_asked(page) == "two.png"
    expect(page.locator(".chip", has_text="Hall").locator("input")).to_be_checked()
    assert page.evaluate("Object.keys(localStorage).length") == 0
    page.get_by_label("Gallery", exact=True).first.select_option("empty")
    page.wait_for_function(f"() => ({stored})() === 0")


def test_the_search_decides_and_says_whom(page: Page, server: PageServer) -> None:
    view(page, "enrol")
    expect(button(page, "Enrol")).to_be_disabled()
    files = [file_of(picture(3, 1, 0), "known.jpg"), file_of(picture(77, 1, 0), "other.jpg")]
    page.locator("input[type=file]").set_input_files(files)
    page.get_by_label("Camera").fill("Gate")
    page.get_by_label("Let the search decide").check()
    button(page, "Enrol 2 pictures").click()
    known = page.locator(".entry", has_text="known.jpg")
    expect(known.locator(".entry-status")).to_have_text(re.compile(r"Enrolled, assigned to p3 \(\d+ %\)"))
    expect(known.locator(".decided img")).to_be_visible()
    expect(page.locator(".entry", has_text="other.jpg")).to_contain_text(
        re.compile("new person: Person|left open: unsure")
    )
    (item,) = ask(server, "v1/items", cameras="Gate", identities="p3")["items"]
    button(known, "Undo").click()
    expect(known).to_contain_text("Undone: the picture stays enrolled, assigned to nobody.")
    assert ask(server, f"v1/items/{item['id']}")["identity"] is None
    view(page, "history")
    expect(page.locator(".log-row", has_text="to p3").filter(has_text="Undone").first).to_be_visible()
    for one in ask(server, "v1/items", cameras="Gate")["items"]:
        httpx2.delete(f"{server.url}v1/items/{one['id']}").raise_for_status()


def test_where_and_when_by_time_and_who_else_was_there(page: Page, server: PageServer) -> None:
    answered(page, lambda answer: answer.update(is_exact=False))
    search_for(page, picture(3, 0, 0))
    # Without an index nothing was left out.
    settled(page)
    expect(page.get_by_text("approximate search")).to_have_count(0)
    bars = page.locator(".sighting-bar")
    cameras = page.locator(".lane-name").all_inner_texts()
    assert cameras == sorted(cameras)
    only_best = bars.count()
    page.get_by_label("Whose pictures").select_option("all")
    assert bars.count() > only_best
    bars.first.click()
    expect(page.get_by_role("dialog")).to_contain_text("Searched with")
    page.keyboard.press("Escape")
    page.get_by_label("Order").select_option("time")
    latest = page.locator(".group .candidate:first-child .tile-line.hint").all_inner_texts()
    timed = [one for one in latest if one != "time unknown"]
    assert timed == sorted(timed, reverse=True)
    assert latest[: len(timed)] == timed
    page.get_by_label("Order").select_option("likeness")
    expect(page.locator(".group h3").first).to_have_text("p3")
    page.locator(".last-seen").get_by_role("link").click()
    expect(page.locator("summary", has_text="Car park")).to_be_visible()
    expect(page.locator("main .tile").first).to_contain_text("Car park")
    # p3 at 10:15 and the two who came five minutes before and after, to the second.
    assert set(page.locator("main .tile .strong").all_inner_texts()) >= {"p3"}


def test_groups_are_joined_and_parted_again(page: Page, server: PageServer) -> None:
    answered(page, lambda answer: answer["groups"].sort(key=lambda one: one["identity"] not in ("p3", "p4")))
    search_for(page, picture(3, 0, 0))
    for name in ("p3", "p4"):
        page.get_by_label(f"Choose {name} to merge with others").check()
    button(page, "Merge into one person").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(re.compile("Merged into p[34]: p[34]"))
    button(dialog, "Merge into one person").click()
    expect(page.locator(".toast", has_text="Merged.")).to_be_visible()
    assert ask(server, "v1/identity", id="p3")["id"] == ask(server, "v1/identity", id="p4")["id"]
    page.get_by_role("button", name=re.compile("Undo what you did last")).click()
    expect(page.locator(".toast", has_text="Undone.")).to_be_visible()
    assert ask(server, "v1/identity", id="p4")["id"] == "p4"


def test_more_of_a_person_and_not_this_person(open_page: Open, server: PageServer) -> None:
    page = open_page(server, "people").page
    expect(page.locator(".person-tile").first).to_be_visible()
    said: list[tuple[str, Any]] = []

    def info(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, body=json.dumps({**response.json(), "features": ["reject"]}))

    def reject(route: Route) -> None:
        said.append((route.request.method, route.request.post_data_json or route.request.url))
        route.fulfill(json={"id": "r1"})

    page.route("**/v1/info*", info)
    page.route("**/v1/reject*", reject)
    page.reload()
    view(page, "person/p3")
    with page.expect_request("**/v1/search*") as request:
        button(page, "Find more of this person").click()
    asked = request.value.post_data_json
    assert (len(asked["images"]), asked["has_identity"]) == (6, False)
    expect(page.get_by_text("One person, 6 pictures")).to_be_visible()
    settled(page)
    assert page.url.count("item=") == 6
    page.get_by_label("Only pictures that nobody has assigned").uncheck()
    page.keyboard.press("Control+Enter")
    settled(page)
    address = page.locator(".group h3 a").nth(1).get_attribute("href")
    other = page.locator(".group", has=page.locator(f'h3 a[href="{address}"]'))
    button(other, "Not this person").click()
    expect(button(other, "Undo “not this person”")).to_be_visible()
    assert said[0][0] == "POST"
    assert f"#/person/{said[0][1]['identity']}?" in str(address)
    assert len(said[0][1]["images"]) == 6
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(button(other, "Not this person")).to_be_visible()
    assert said[1][0] == "DELETE"
    assert "id=r1" in said[1][1]


def test_the_whole_search_by_keys_alone(page: Page, server: PageServer) -> None:
    press = page.keyboard.press

    def press_until(key: str, name: str, most: int) -> None:
        """Come to a control by one key in so many presses."""
        for _ in range(most):
            press(key)
            if page.evaluate("document.activeElement.textContent.trim()").startswith(name):
                return
        raise AssertionError(f"{name} is not reached by {most} times {key}")

    expect(button(page, "Take from the gallery")).to_be_visible()
    page.locator("main").focus()
    press_until("Tab", "Take from the gallery", 3)
    press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Camera").select_option("Hall")
    expect(dialog.locator(".tile").nth(3)).to_be_visible()
    press_until("Tab", "Hall", 3)
    press("ArrowRight")
    press("Enter")
    expect(page.locator(".slot-item")).to_be_visible()
    # From anywhere in the form to the answer, and from there to the candidates.
    press("Control+Enter")
    heading, candidates = page.locator(".verdict h2"), page.locator(".candidate")
    expect(heading).to_be_focused()
    press("ArrowDown")
    expect(candidates.first).to_be_focused()
    press("ArrowRight")
    press("Enter")
    expect(dialog.locator(".steps")).to_contain_text("2 of")
    press("ArrowRight")
    expect(dialog.locator(".steps")).to_contain_text("3 of")
    press("Escape")
    expect(candidates.nth(1)).to_be_focused()
    press("a")
    expect(heading).to_be_focused()
    # One line of time, one stop.
    for _ in range(5):
        press("Tab")
        if page.evaluate("document.activeElement.className").startswith("sighting-bar"):
            break
    bars = page.locator(".sighting-bar")
    expect(bars.first).to_be_focused()
    press("ArrowRight")
    expect(bars.nth(1)).to_be_focused()
    press("Enter")
    expect(dialog).to_be_visible()
    press("Escape")
    # Another question, asked from what says that the answer is of an earlier one.
    chip = page.locator(".chip", has_text="Entrance").locator("input")
    chip.focus()
    press("Space")
    press("Control+Enter")
    expect(heading).to_be_focused()
    expect(page.locator(".verdict")).to_contain_text("Only: Entrance")
    press("?")
    expect(dialog).to_contain_text("To the answer of a search")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (360, "dark")])
def test_an_answer_is_accessible_and_fits(
    open_page: Open, server: PageServer, accessible: Accessible, width: int, scheme: str
) -> None:
    size = {"width": width, "height": 800}
    page = open_page(server, viewport=size, color_scheme=scheme, reduced_motion="reduce").page
    only_measured = {"people": 30, "rate": 0.004, "low": 0.001, "high": 0.02, "is_extrapolated": True}
    answered(page, lambda answer: through_ninety(answer, 0.98, "same", measured=only_measured))
    search_for(page, picture(3, 0, 0))
    if width < 1000:
        page.locator(".where summary").click()
    page.get_by_label("Whose pictures").select_option("all")
    page.locator(".group-marks input").first.check()
    accessible(page, "answer")
    # The words of a checkbox stand beside it.
    beside = "all => all.every(({ children: [a, b] }) => b.offsetLeft >= a.offsetLeft + a.offsetWidth)"
    assert page.locator("label.check:visible").evaluate_all(beside)
    if width < 1000:
        page.locator(".filters summary").click()
    page.locator(".chip", has_text="Hall").click()
    expect(page.get_by_text(EARLIER)).to_be_visible()
    accessible(page, "earlier answer")
