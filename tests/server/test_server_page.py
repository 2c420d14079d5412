"""The operator's page in a real browser, against a real server process with rendered people.

With OMNIREID_PAGE_IMAGES=docs/images the pictures in docs/ are taken, of the demo in runs/demo.
After every test: nothing was asked of another origin, and the console holds no error that was not expected.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx2
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

import omnireid.server
from omnireid.server.options import SCOPES
from omnireid.server.tokens import TokenFile
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
from server.page_server import HOSTILE, STRANGER, PageServer, picture

VIEWS = ("search", "people", "pictures", "compare", "enrol", "gallery", "audit", "history", "person/p1")
DEMO = Path(os.environ.get("OMNIREID_PAGE_DEMO", "runs/demo"))
MOST_BYTES = 300_000
IMAGES = os.environ.get("OMNIREID_PAGE_IMAGES", "")
GONE = re.compile(r"Failed to load resource: net::ERR_")

pytestmark = NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of the server that asks for one, by scope, and the file they are in."""
    file = tmp_path_factory.mktemp("tokens") / "tokens.json"
    made = {scope: TokenFile(file).create(scope, scope) for scope in SCOPES}
    return {**made, "file": str(file)}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, tokens: dict[str, str]) -> Iterator[PageServer]:
    """Asks for a token, and has no calibration."""
    process = PageServer(tmp_path_factory.mktemp("page"), "--tokens", tokens["file"], "--without-calibration")
    process.start()
    yield process
    process.stop()


@pytest.fixture
def shown(server: PageServer, tmp_path: Path) -> Iterator[tuple[str, Path, bytes, str]]:
    """For pictures of the page: its address, where they go, who is searched for, and whose view is shown."""
    if not IMAGES:
        yield server.url, tmp_path, picture(3, 1, 0), "p3"
        return
    shutil.copytree(DEMO / "gallery", tmp_path / "gallery")
    command = [sys.executable, "-m", "omnireid", "serve", "--model", "runs/quickstart/model.safetensors"]
    command += ["--gallery", str(tmp_path / "gallery"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1] + "/"
            pictures = [file.read_bytes() for file in sorted((DEMO / "try").glob("seen_*"))]
            wanted = next(one for one in pictures if is_known(url, one))
            people = httpx2.get(url + "v1/identities").json()["identities"]
            person = max(people, key=lambda one: (len(one["cameras"]), one["name"] or ""))
            yield url, Path(IMAGES), wanted, person["id"]
        finally:
            process.terminate()


def is_known(url: str, content: bytes) -> bool:
    """Whether the server is sure who it is, and knows a name."""
    headers = {"Content-Type": "image/jpeg"}
    ask_it = partial(httpx2.post, url + "v1/search", content=content, headers=headers, timeout=60)
    while (answer := ask_it()).status_code == 503:  # the engine is being compiled
        time.sleep(0.2)
    best = answer.raise_for_status().json()["groups"][0]
    return best["decision"] == "same" and best["name"] is not None


def test_search_says_who_where_and_when(open_page: Open, server: PageServer) -> None:
    watched = open_page(server)
    page = watched.page
    search_for(page, picture(3, 0, 0))
    expect(page.locator(".verdict h2")).to_have_text("Likely the same person: p3")
    best = page.locator(".group").first
    expect(best.locator(".badge")).to_have_text("Likely the same person")
    expect(best.locator(".likeness")).to_contain_text("score 1.000")
    candidate = best.locator(".candidate").first
    expect(candidate).to_contain_text("Entrance")
    expect(candidate.locator("img")).to_have_attribute("alt", re.compile("Person seen by Entrance, 2 Mar"))
    assert candidate.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
    # A decision is never told by colour alone.
    assert "Likely the same person" in candidate.locator(".mark").inner_text()
    # Each search is in the audit log: coming back is none.
    view(page, "people")
    view(page, "search")
    expect(page.locator(".verdict h2")).to_have_text("Likely the same person: p3")
    assert sum("/v1/search" in one for one in watched.requests) == 1


def test_a_stranger_is_not_called_somebody(page: Page, server: PageServer) -> None:
    choose(page, picture(STRANGER, 1, 0))
    with page.expect_response("**/v1/search*") as answer:
        button(page, "Search").click()
    assert answer.value.json()["decision"] == "unsure"
    expect(page.locator(".verdict h2")).to_have_text("Unsure: look at the candidates yourself")
    expect(page.locator(".badge").first).to_have_text("Unsure")


def test_a_box_by_mouse_keyboard_and_touch(open_page: Open, server: PageServer) -> None:
    page = open_page(server, has_touch=True).page
    choose(page, two_people(), "two.png")
    stage = page.locator(".stage")
    expect(stage).to_be_visible()

    def searched_region() -> dict[str, int]:
        with page.expect_request("**/v1/search*") as request:
            page.get_by_role("button", name=re.compile("^Search")).click()
        region: dict[str, int] = request.value.post_data_json["region"]
        return region

    frame = stage.bounding_box()
    assert frame is not None
    scale = frame["width"] / 128
    page.mouse.move(frame["x"] + 2 * scale, frame["y"] + 2 * scale)
    page.mouse.down()
    page.mouse.move(frame["x"] + 30 * scale, frame["y"] + 60 * scale)
    page.mouse.move(frame["x"] + 62 * scale, frame["y"] + 126 * scale)
    page.mouse.up()
    drawn = searched_region()
    assert drawn == pytest.approx({"x": 2, "y": 2, "width": 60, "height": 124}, abs=1)
    expect(page.locator(".group h3").first).to_have_text("p4")

    box = page.locator(".box")
    box.focus()
    for keys in ("Control+ArrowRight", "Control+Shift+ArrowLeft", "Control+Shift+ArrowUp"):
        page.keyboard.press(keys)
    x, y, width, height = (drawn[name] for name in ("x", "y", "width", "height"))
    assert searched_region() == {"x": x + 1, "y": y, "width": width - 1, "height": height - 1}

    corner = page.locator(".handle.se").bounding_box()
    assert corner is not None
    touch = page.context.new_cdp_session(page)
    where = {"x": corner["x"] + corner["width"] / 2, "y": corner["y"] + corner["height"] / 2}
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [where]})
    moved = {"x": where["x"] - 20 * scale, "y": where["y"] - 10 * scale}
    touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [moved]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    pulled = searched_region()
    assert (pulled["x"], pulled["y"]) == (x + 1, y)
    assert (pulled["width"], pulled["height"]) == pytest.approx((width - 21, height - 11), abs=1)

    box.focus()
    page.keyboard.press("Delete")
    expect(box).to_be_hidden()
    button(page, "Draw a box").click()
    expect(box).to_be_focused()


def test_filters_reach_the_server(page: Page, server: PageServer) -> None:
    search_for(page, picture(3, 0, 0))
    page.locator(".chip", has_text="Hall").click()
    page.get_by_label("From").fill("2026-01-01T00:00:00")
    page.get_by_label("Until").fill("2027-01-01T00:00:00")
    page.get_by_label("Wanted false-alarm rate").select_option("0.1")
    page.get_by_label("Exact: compare with every picture").check()
    page.get_by_label("Person", exact=True).get_by_role("button").click()
    choose_person(page, "ada", "Ada")
    with page.expect_request("**/v1/search*") as request:
        button(page, "Search again").click()
    asked = request.value.post_data_json
    assert asked["cameras"] == ["Hall"]
    assert (asked["identities"], asked["false_alarm_rate"], asked["exact"]) == (["p1"], 0.1, True)
    assert asked["since"] < asked["until"]
    expect(page.locator(".group")).to_have_count(1)
    expect(page.locator(".filters")).to_contain_text("At 10 %: of 100 searches for strangers, about 10 end")
    assert set(page.locator(".candidate .tile-line:not(.hint)").all_inner_texts()) == {"Hall"}
    expect(page.locator(".count")).to_have_text("6 filters")
    button(page, "Clear filters").click()
    expect(page.locator(".count")).to_have_text("")
    page.get_by_label("Until").fill("2001-01-01T00:00:00")
    button(page, "Search again").click()
    expect(page.get_by_text("Nobody found")).to_be_visible()


def test_pictures_are_pasted_dropped_and_taken_from_the_gallery(page: Page) -> None:
    give = """([kind, bytes]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(bytes)], `${kind}.jpg`, { type: "image/jpeg" }));
        const options = { bubbles: true, cancelable: true };
        document.dispatchEvent(kind === "paste"
            ? new ClipboardEvent(kind, { ...options, clipboardData: transfer })
            : new DragEvent(kind, { ...options, dataTransfer: transfer }));
    }"""
    expect(button(page, "Choose a file")).to_be_visible()
    for kind in ("paste", "drop"):
        page.evaluate(give, [kind, list(picture(5, 1, 0))])
        expect(page.get_by_text(f"{kind}.jpg")).to_be_visible()
    button(page, "Gallery").click()
    tiles = page.get_by_role("dialog").locator(".tile")
    expect(tiles).to_have_count(24)
    button(page.get_by_role("dialog"), "Show more").click()
    expect(tiles).to_have_count(48)
    tiles.last.click()
    expect(page.locator(".slot-item")).to_contain_text("From the gallery")
    button(page, "Search").click()
    expect(page.locator(".verdict")).to_be_visible()


def test_a_bad_file_is_refused_with_its_reason(open_page: Open, server: PageServer) -> None:
    watched = open_page(server)
    page = watched.page
    choose(page, b"not a picture", "letter.jpg")
    expect(page.locator(".complaint")).to_have_text(re.compile("letter.jpg is not a picture"))
    choose(page, b"", "nothing.jpg")
    expect(page.locator(".complaint")).to_have_text(re.compile("nothing.jpg is empty"))
    choose(page, bytes(1_700_000), "huge.jpg")
    expect(page.locator(".complaint")).to_have_text(re.compile(r"huge.jpg has 1.7 MB; the server takes up"))
    wide = io.BytesIO()
    Image.new("1", (2500, 2500)).save(wide, "PNG")
    choose(page, wide.getvalue(), "wide.png")
    expect(page.locator(".complaint")).to_have_text(re.compile("2500 × 2500 pixels"))
    # What only the browser can read, the server refuses.
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="60" height="120"/>'
    file = {"name": "drawing.svg", "mimeType": "image/svg+xml", "buffer": svg}
    page.locator("input[type=file]").first.set_input_files(file)
    button(page, "Search").click()
    expect(page.get_by_role("alert").filter(has_text="image:")).to_be_visible()
    watched.expect_errors(REFUSED)


def test_enrol_a_new_person(page: Page, server: PageServer) -> None:
    view(page, "enrol")
    files = [file_of(picture(41, 0, n), f"new{n}.jpg") for n in range(2)]
    page.locator("input[type=file]").set_input_files(files)
    page.get_by_label("Camera").fill("Roof")
    page.get_by_label("Time").fill("2026-03-02T12:00:00")
    page.get_by_label("A new person", exact=True).check()
    page.get_by_label("A new person: Name (optional)").fill("Zoe")
    button(page, "Enrol 2 pictures").click()
    expect(page.locator(".entry-status.good")).to_have_count(2)
    (zoe,) = ask(server, "v1/identities", text="Zoe")["identities"]
    assert (zoe["items"], zoe["cameras"]) == (2, ["Roof"])
    choose(page, picture(41, 0, 0), "new0.jpg")
    button(page, "Enrol 1 picture").click()
    expect(page.locator(".entry").last).to_contain_text("Was already enrolled")
    view(page, "people")
    expect(page.locator(".person-tile", has_text="Zoe")).to_contain_text("2 pictures")


def test_name_and_undo(page: Page, server: PageServer) -> None:
    view(page, "person/p3")
    button(page, "Name").click()
    page.get_by_role("dialog").get_by_label("Name", exact=True).fill("Cleo")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Cleo")).to_be_visible()
    assert ask(server, "v1/identities/p3")["name"] == "Cleo"
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("p3")
    assert ask(server, "v1/identities/p3")["name"] is None


def test_a_name_is_never_markup(page: Page) -> None:
    view(page, "people")
    expect(page.locator(".person-tile", has_text=HOSTILE)).to_be_visible()
    view(page, "person/p2")
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    button(page, "Merge into…").click()
    expect(page.get_by_role("dialog")).to_contain_text(HOSTILE)
    page.keyboard.press("Escape")
    button(page, "Forget person").click()
    expect(page.get_by_role("dialog")).to_contain_text(HOSTILE)
    page.keyboard.press("Escape")
    view(page, "search")
    search_for(page, picture(2, 0, 0))
    expect(page.locator(".verdict h2")).to_contain_text(HOSTILE)
    assert page.locator("img[src=x]").count() == 0
    assert "attacked" not in page.title()


def test_merge_and_undo_in_the_history(page: Page, server: PageServer) -> None:
    view(page, "person/p5")
    button(page, "Merge into…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".choice", has_text="p6")).to_be_visible()
    assert dialog.locator(".choice strong", has_text=re.compile("^p5$")).count() == 0
    # A whole thumbnail in each row.
    heights = dialog.locator(".choice").evaluate_all("all => all.map((one) => one.offsetHeight)")
    assert min(heights) > 64
    dialog.locator(".choice", has_text="p6").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("p6")
    expect(page.locator(".person-head")).to_contain_text("12 pictures")
    assert ask(server, "v1/identities/p6")["merged"] == ["p5"]
    view(page, "history")
    merged = page.locator(".log-row", has_text="merged").first
    button(merged, "Undo").click()
    expect(merged).to_contain_text("Undone")
    assert ask(server, "v1/identities/p5")["items"] == 6


def test_split_off_a_sighting(page: Page, server: PageServer) -> None:
    view(page, "person/p7")
    expect(page.locator(".sighting-bar")).to_have_count(3)
    page.get_by_role("button", name=re.compile("^Hall, 2 Mar.* 2 pictures$")).click()
    sighting = page.locator(".sighting", has_text="Hall")
    expect(sighting.get_by_role("heading")).to_be_focused()
    button(sighting, "Choose all of this sighting").click()
    expect(page.locator(".selection-bar")).to_contain_text("2 pictures chosen")
    button(page, "Split off").click()
    page.get_by_role("dialog").get_by_label("Name of the new person").fill("Sam")
    page.keyboard.press("Enter")
    expect(page.locator(".person-head")).to_contain_text("4 pictures")
    (sam,) = ask(server, "v1/identities", text="Sam")["identities"]
    assert (sam["items"], sam["cameras"]) == (2, ["Hall"])
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(page.locator(".person-head")).to_contain_text("6 pictures")
    assert ask(server, "v1/identities/p7")["items"] == 6


def test_forget_a_person_after_typing_the_name(open_page: Open, server: PageServer) -> None:
    page = open_page(server, "person/p8").page
    item = ask(server, "v1/items", identities="p8")["items"][0]["id"]
    button(page, "Forget person").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("6 pictures of 3 cameras")
    expect(dialog).to_contain_text("cannot be undone")
    confirm = button(dialog, "Forget for good")
    expect(confirm).to_be_disabled()
    dialog.get_by_label("Type p8 to confirm").fill("p7")
    expect(confirm).to_be_disabled()
    dialog.get_by_label("Type p8 to confirm").fill("p8")
    confirm.click()
    expect(page.locator(".toast", has_text="6 pictures forgotten")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("People")
    for path in ("v1/identities/p8", f"v1/items/{item}", f"v1/items/{item}/thumbnail"):
        assert httpx2.get(server.url + path).status_code == 404


def test_forget_one_picture(page: Page, server: PageServer) -> None:
    view(page, "person/p6")
    page.locator(".sighting .bare").first.click()
    button(page.get_by_role("dialog"), "Forget picture").click()
    button(page.get_by_role("dialog"), "Cancel").click()
    assert ask(server, "v1/identities/p6")["items"] == 6
    page.locator(".sighting .bare").first.click()
    button(page.get_by_role("dialog"), "Forget picture").click()
    button(page.get_by_role("dialog"), "Forget for good").click()
    expect(page.locator(".person-head")).to_contain_text("5 pictures")
    assert ask(server, "v1/identities/p6")["items"] == 5


def test_pictures_of_nobody_become_a_person(page: Page, server: PageServer) -> None:
    search_for(page, picture(9, 0, 0))
    expect(page.locator(".verdict h2")).to_have_text("Likely seen before, but not assigned to a person yet")
    page.locator(".group").first.get_by_role("button", name=re.compile("Name this person")).click()
    page.get_by_role("dialog").get_by_label("Name of the new person").fill("Nia")
    page.keyboard.press("Enter")
    expect(page.locator(".verdict h2")).to_have_text("Likely the same person: Nia")
    assert ask(server, "v1/identities", text="Nia")["identities"][0]["items"] == 2


def test_compare_with_activation_maps(page: Page) -> None:
    view(page, "compare")
    choose(page, picture(3, 0, 0), "first.jpg", slot=0)
    choose(page, picture(3, 0, 1), "second.jpg", slot=1)
    button(page, "Compare").click()
    outcome = page.locator(".outcome")
    expect(outcome.locator(".badge")).to_be_visible()
    expect(outcome.locator(".likeness-number")).to_contain_text("%")
    maps = page.locator(".maps img")
    expect(maps).to_have_count(2)
    for one in maps.all():
        assert one.evaluate("image => image.decode().then(() => image.naturalWidth)") == 32
    # The candidate of a search is compared with what was searched for.
    view(page, "search")
    search_for(page, picture(4, 0, 0))
    page.locator(".candidate").first.click()
    button(page.get_by_role("dialog"), "Compare with your picture").click()
    expect(page.locator(".outcome")).to_contain_text("score 1.000")


def test_the_gallery_its_index_retention_and_audit(open_page: Open, server: PageServer) -> None:
    page = open_page(server, "gallery").page
    num_items = ask(server, "v1/galleries/main")["items"]
    expect(page.locator(".figure", has_text="Pictures")).to_have_text(f"Pictures{num_items}")
    button(page, "Change").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("All other cameras", exact=True).select_option("days")
    dialog.get_by_label("All other cameras: days").fill("36500")
    dialog.get_by_label("Hall", exact=True).select_option("forever")
    button(dialog, "Save").click()
    expect(page.locator(".card", has_text="Retention")).to_contain_text("Kept for 36,500 days")
    kept = ask(server, "v1/galleries/main")["retention"]
    assert kept == {"default_s": 36500 * 86400, "cameras": {"Hall": None}}
    button(page, "Run now").click()
    button(page.get_by_role("dialog"), "Forget for good").click()
    expect(page.locator(".toast", has_text="Nothing was forgotten")).to_be_visible()
    button(page, "Build index").click()
    expect(page.locator(".toast", has_text="index is being built")).to_be_visible()
    view(page, "audit")
    expect(page.locator(".log-row").first).to_be_visible()
    numbers = page.locator(".log-row").evaluate_all("rows => rows.map((row) => Number(row.dataset.seq))")
    entries = ask(server, "v1/audit", limit="1000", latest="true")["entries"]
    assert numbers == [one["seq"] for one in entries[: len(numbers)]]
    expect(page.locator(".log-row", has_text="had pictures kept for 36,500 days")).to_be_visible()


def test_another_gallery_that_is_empty(page: Page) -> None:
    page.get_by_label("Gallery", exact=True).first.select_option("empty")
    choose(page, picture(1, 0, 0))
    button(page, "Search").click()
    expect(page.get_by_text("The gallery is empty: nothing was enrolled")).to_be_visible()
    view(page, "people")
    expect(page.get_by_text("Nobody here yet")).to_be_visible()
    view(page, "pictures")
    expect(page.get_by_text("No pictures", exact=True)).to_be_visible()
    view(page, "history")
    expect(page.get_by_text("Nothing changed yet")).to_be_visible()
    page.goto(page.url.partition("#")[0] + "#/no-such-view")
    expect(page.get_by_text("There is no such page")).to_be_visible()


def test_a_search_by_keyboard_alone(page: Page) -> None:
    # Chromium is asked in time to hand its file dialog over, not when the key is pressed.
    page.on("filechooser", lambda _: None)
    expect(button(page, "Choose a file")).to_be_visible()
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    if not skip.evaluate("link => link === document.activeElement"):
        skip.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(button(page, "Choose a file")).to_be_focused()
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(file_of(picture(3, 1, 0)))
    expect(button(page, "Draw a box")).to_be_focused()
    for _ in range(5):
        page.keyboard.press("Tab")
    expect(button(page, "Search")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".verdict h2")).to_be_focused()
    candidates = page.locator(".candidate")
    page.keyboard.press("ArrowDown")
    expect(candidates.first).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(candidates.nth(1)).to_be_focused()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('li').previousElementSibling !== null")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    assert dialog.evaluate("dialog => dialog.contains(document.activeElement)")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert page.evaluate("document.activeElement.className") == "candidate"
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Undo the last change")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    expect(page.get_by_role("heading", level=1)).to_have_text("People")


def test_tokens_rights_and_scores_without_calibration(
    open_page: Open, guarded: PageServer, tokens: dict[str, str]
) -> None:
    watched = open_page(guarded)
    page = watched.page
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Token").fill("wrong")
    page.keyboard.press("Enter")
    expect(dialog.locator(".complaint")).to_contain_text("The server does not know this token.")
    dialog.get_by_label("Token").fill(tokens["read"])
    page.keyboard.press("Enter")
    search_for(page, picture(3, 0, 0))
    watched.expect_errors(REFUSED)
    expect(page.locator(".verdict h2")).to_have_text("Scores only")
    expect(page.locator(".verdict")).to_contain_text("omnireid calibrate")
    expect(page.locator(".badge").first).to_have_text("Score only")
    assert page.get_by_text(re.compile("Same person|probability", re.I)).count() == 0
    assert page.locator(".tab", has_text="Enrol").count() == 0
    expect(page.locator(".candidate img").first).to_be_visible()
    page.locator(".candidate").first.click()
    assert button(page.get_by_role("dialog"), "Forget picture").count() == 0
    page.keyboard.press("Escape")
    view(page, "person/p3")
    expect(page.get_by_text("This token may only read.")).to_be_visible()
    assert page.get_by_role("button", name="Forget person").count() == 0
    view(page, "audit")
    expect(page.get_by_text("needs a token with admin rights")).to_be_visible()
    view(page, "gallery")
    expect(page.locator(".figures")).to_be_visible()
    assert button(page, "Build index").count() == 0
    assert page.evaluate("Object.keys(localStorage).length") == 0
    # Whoever opens the tab anew with another token has its rights.
    page.evaluate("token => sessionStorage.setItem('omnireid-token', token)", tokens["admin"])
    page.reload()
    expect(button(page, "Build index")).to_be_visible()
    expect(page.locator(".tab", has_text="Enrol")).to_be_visible()


def test_a_lost_server_is_said_and_found_again(open_page: Open, server: PageServer) -> None:
    watched = open_page(server)
    page = watched.page
    choose(page, picture(3, 0, 0))
    server.kill()
    button(page, "Search").click()
    expect(page.locator(".banner")).to_contain_text("The server does not answer")
    expect(page.get_by_text("The server cannot be reached.")).to_be_visible()
    view(page, "gallery")
    expect(button(page, "Try again")).to_be_visible()
    server.start()
    expect(page.locator(".banner")).to_be_hidden()
    expect(page.locator(".figures")).to_be_visible()
    # What was entered is still there.
    view(page, "search")
    expect(page.locator(".stage img")).to_be_visible()
    page.get_by_role("button", name=re.compile("^Search")).click()
    expect(page.locator(".verdict h2")).to_contain_text("p3")
    watched.expect_errors(GONE)


def test_dark_mode_by_the_system_and_by_the_switch(open_page: Open, server: PageServer) -> None:
    def brightness(page: Page) -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in re.findall(r"\d+", colour)[:3])

    page = open_page(server, color_scheme="dark").page
    expect(page.locator(".tabs")).to_be_visible()
    assert brightness(page) < 100
    page.get_by_role("button", name="Theme: as the system").click()
    assert brightness(page) > 600
    page.reload()
    expect(page.get_by_role("button", name="Theme: light")).to_be_visible()
    assert brightness(page) > 600
    page.get_by_role("button", name="Theme: light").click()
    page.emulate_media(color_scheme="light")
    assert brightness(page) < 100


def test_nothing_moves_for_who_asked_for_no_motion(open_page: Open, server: PageServer) -> None:
    for motion, expected in (("reduce", "none"), ("no-preference", "rise")):
        page = open_page(server, reduced_motion=motion).page
        page.get_by_role("button", name="Help").click()
        assert page.get_by_role("dialog").evaluate("one => getComputedStyle(one).animationName") == expected


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_a_phone_shows_all(
    open_page: Open, server: PageServer, accessible: Accessible, scheme: str
) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    is_small = scheme == "dark"
    page = open_page(server, color_scheme=scheme, reduced_motion="reduce", **(phone if is_small else {})).page
    accessible(page, "search, empty")
    choose(page, two_people(), "two.png")
    button(page, "Draw a box").click()
    button(page, "Search").click()
    expect(page.locator(".verdict")).to_be_visible()
    accessible(page, "search")
    page.locator(".candidate").first.click()
    accessible(page, "picture dialog")
    page.keyboard.press("Escape")
    for name in VIEWS[1:]:
        view(page, name)
        expect(page.locator("main h1")).to_be_visible()
        if name == "people":
            page.locator(".bare").first.press("x")
        elif name == "audit":
            page.get_by_label("Time").select_option("own")
            page.locator(".log-row summary").first.click()
        accessible(page, name)
        tabs = page.locator(".tab").first.bounding_box()
        assert tabs is not None
        assert (tabs["y"] > 660) is is_small
    page.locator(".pick").first.check()
    button(page, "Forget person").click()
    accessible(page, "person, choosing and forgetting")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Help").click()
    accessible(page, "help")
    page.goto(server.url + "assets/responsible-use.html")
    accessible(page, "responsible use")


JARGON = "embedding|threshold|tracklet|thumbnail|cosine|activation map|identity|FPIR|item"
AMERICAN = "color|center|license |gray|recogniz|organiz"


def test_the_words_that_are_asked_for_are_those_that_are_there_and_are_understood(page: Page) -> None:
    """`text.…` of a name that was moved would be an error only when somebody comes across it."""
    folder = Path(omnireid.server.__file__).with_name("page")
    sources = [file.read_text("utf-8") for file in sorted(folder.glob("*.js")) if file.name != "text.js"]
    pattern = r"(?<![\w/.])text((?:\.[A-Za-z]\w*)+)"
    asked = {name for source in sources for name in re.findall(pattern, source)} - {".js"}
    there: dict[str, str] = page.evaluate(
        """async () => {
          const { text } = await import("./assets/text.js");
          const isGroup = (value) => typeof value === "object" && !Array.isArray(value);
          const leaves = (value, path) => isGroup(value)
            ? Object.entries(value).flatMap(([name, part]) => leaves(part, `${path}.${name}`))
            : [[path, String(value)]];
          return Object.fromEntries(leaves(text, ""));
        }"""
    )
    assert len(there) > 200

    def is_of(word: str, name: str) -> bool:
        """Words are asked for by name, by their group's where they are chosen, or for a part of them."""
        return f"{word}.".startswith(f"{name}.") or name.startswith(f"{word}.")

    assert {name for name in asked if not any(is_of(word, name) for word in there)} == set()
    assert {word for word in there if not any(is_of(word, name) for name in asked)} == set()
    # Of a function its words alone, not the names of what it is given.
    said = {
        name: re.sub(r"\$\{[^{}]*\}", "", words.partition("=>")[2] or words) for name, words in there.items()
    }
    odd = re.compile(rf"\b({JARGON})s?\b|{AMERICAN}", re.IGNORECASE)
    assert {name: words for name, words in said.items() if odd.search(words)} == {}


def test_pictures_for_the_docs(shown: tuple[str, Path, bytes, str], open_page: Open) -> None:
    url, folder, wanted, person = shown

    def take(page: Page, name: str, *, whole: bool = False) -> None:
        settled(page)
        page.wait_for_function("""() => [...document.querySelectorAll(".thumb")]
            .filter((one) => one.checkVisibility()) // not in what is folded away
            .filter((one) => one.getBoundingClientRect().top < innerHeight)
            .filter((one) => one.getBoundingClientRect().left < innerWidth - 40)
            .every((one) => one.querySelector("img")?.complete)""")
        page.mouse.move(0, 0)
        page.evaluate("document.activeElement.blur()")
        taken = Image.open(io.BytesIO(page.screenshot(animations="disabled", full_page=whole)))
        file = folder / f"page_{name}.png"
        taken.convert("RGB").save(file, optimize=True)
        if file.stat().st_size > MOST_BYTES:
            # 256 colours: a third of the bytes, and hardly a difference to see.
            taken.convert("RGB").quantize(256).save(file, optimize=True)
        assert file.stat().st_size < MOST_BYTES

    size = {"width": 1200, "height": 800}
    page = open_page(url, viewport=size, reduced_motion="reduce").page
    search_for(page, wanted)
    take(page, "search")
    page.locator(".candidate").first.click()
    button(page.get_by_role("dialog"), "Compare with your picture").click()
    expect(page.locator(".maps img")).to_have_count(2)
    take(page, "compare", whole=True)
    view(page, f"person/{person}")
    expect(page.locator(".sighting").first).to_be_visible()
    take(page, "person")
    # Several pictures of one camera: where else was this person?
    items = httpx2.get(f"{url}v1/items", params={"identities": person, "limit": "1000"}).json()["items"]
    here = items[0]["camera"]
    seen = [one["id"] for one in items if one["camera"] == here][:3]
    files = [httpx2.get(f"{url}v1/items/{one}/thumbnail").content for one in seen]
    view(page, "search")
    page.locator("input[type=file]").first.set_input_files(
        [file_of(content, f"{here} {n + 1}.jpg") for n, content in enumerate(files)]
    )
    for camera in sorted({one["camera"] for one in items} - {here}):
        page.locator(".chip", has_text=camera).click()
    page.get_by_role("button", name=re.compile("^Search( again)?$")).click()
    expect(page.locator(".verdict")).to_contain_text("Only:")
    take(page, "several")
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    view(page, "people")
    expect(page.locator(".person-tile img").nth(5)).to_be_visible()
    take(page, "dark")
    phone = {"width": 360, "height": 780}
    page = open_page(url, viewport=phone, device_scale_factor=1.5, reduced_motion="reduce").page
    search_for(page, wanted)
    take(page, "phone")
