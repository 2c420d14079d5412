"""What an answer says, and of which question: its own, whatever was chosen since."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from server.page_browser import (
    NEEDS_CHROMIUM,
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
        "rerank": lambda: page.get_by_label("Re-rank candidates").check(),
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
    assert "stranger" not in page.locator(".results").inner_text()
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
    button(page.get_by_role("dialog"), "Whole picture").click()
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
    expect(page.locator(".verdict h2")).to_have_text("Same person: p3")
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
        "Of 1,000 searches for strangers through these 90 people, about 0.8 end in “same person”",
        "0.3 to 1.9, with 95 % confidence",
        "“Same person” is said from 97 % on.",
        "the chance that this person is in the gallery at all was taken to be 50 %",
    ):
        expect(verdict).to_contain_text(words)
    expect(page.locator(".caution")).to_have_count(0)
    # A picture has a score; the probability is its person's.
    expect(page.locator(".candidate-likeness").first).to_contain_text("1.000")


def test_a_verdict_never_contradicts_its_number(page: Page) -> None:
    wrong = {"best": 0.46, "decision": "same"}
    extrapolated = {"people": 30, "rate": 0.004, "low": 0.001, "high": 0.02, "is_extrapolated": True}
    answered(page, lambda answer: through_ninety(answer, **wrong, measured=extrapolated))
    search_for(page, picture(3, 0, 0))
    heading, badge = page.locator(".verdict h2"), page.locator(".group .badge").first
    expect(heading).to_have_text("Unsure: look at the candidates yourself")
    expect(badge).to_have_text("Unsure")
    expect(page.locator(".caution")).to_contain_text(
        "measured with 30 people only. With 90 people it is an estimate"
    )
    wrong.update(best=0.8, decision="new")
    button(page, "Search again").click()
    settled(page)
    expect(page.locator(".shares .likeliest dd")).to_have_text("80 %")
    expect(heading).to_have_text("Unsure: look at the candidates yourself")
    wrong.update(best=0.02)
    button(page, "Search again").click()
    settled(page)
    expect(heading).to_contain_text("New: nobody in the gallery")
    expect(page.locator(".shares .nobody dd")).to_have_text("88 %")
