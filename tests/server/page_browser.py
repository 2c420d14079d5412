"""A browser, the server it looks at, and what the page's tests do in it.

After every test: nothing was asked of another origin, and the console holds no error that was not expected.
"""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from server.page_server import STRANGER, PageServer, picture

# Without the browser around it Chromium takes half the time; both are real.
CHROMIUM = Path(shutil.which("chromium-headless-shell") or "/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 30_000
"""A busy machine may stand still for ten seconds. What waits in vain fails all the same."""
expect.set_options(timeout=PATIENCE_MS)
REFUSED = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")

NEEDS_CHROMIUM = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed: the page cannot be tested in a browser"
    ),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    process = PageServer(tmp_path_factory.mktemp("page"))
    process.start()
    yield process
    process.stop()


class Watched:
    """A browser page, and what must not happen in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def expect_errors(self, pattern: re.Pattern[str]) -> None:
        """Forget errors that the test caused; there must be one."""
        assert any(pattern.match(error) for error in self.errors)
        self.errors = [error for error in self.errors if not pattern.match(error)]


Open = Callable[..., Watched]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    opened: list[tuple[Watched, str]] = []

    def open_it(server: PageServer | str, view: str = "search", **options: Any) -> Watched:
        url = server if isinstance(server, str) else server.url
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        watched = Watched(context.new_page())
        opened.append((watched, url))
        watched.page.goto(f"{url}#/{view}")
        return watched

    yield open_it
    for watched, url in opened:
        # An answer that a test still changes on its way would else fail in the test after it.
        watched.page.unroute_all(behavior="ignoreErrors")
        watched.page.context.close()
        own = ("blob:" + url, url, "data:image/png")
        assert [one for one in watched.requests if not one.startswith(own)] == []
        assert watched.errors == [], watched.errors


Accessible = Callable[[Page, str], None]


@pytest.fixture
def accessible() -> Iterator[Accessible]:
    """Looks at a state of the page: axe finds nothing serious, and nothing scrolls sideways.

    All that is found is said at the end. In the dark only colours are different.
    """
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found: list[str] = []

    def check(page: Page, name: str) -> None:
        settled(page)
        size = page.viewport_size
        assert size is not None
        if page.evaluate("document.documentElement.scrollWidth") > size["width"]:
            found.append(f"{name}: scrolls sideways")
        options: dict[str, Any] = {"resultTypes": ["violations"]}
        if page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches"):
            options["runOnly"] = ["color-contrast", "link-name", "button-name"]
        for fault in axe.run(page, options=options).response["violations"]:
            if fault["impact"] in ("serious", "critical"):
                found.append(f"{name}: {fault['id']} {fault['nodes'][0]['html'][:200]}")

    yield check
    assert not found, "\n".join(found)


@pytest.fixture
def page(open_page: Open, server: PageServer) -> Page:
    return open_page(server).page


def file_of(content: bytes, name: str = "somebody.jpg") -> dict[str, Any]:
    return {"name": name, "mimeType": "image/jpeg", "buffer": content}


def choose(page: Page, content: bytes, name: str = "somebody.jpg", *, slot: int = 0) -> None:
    page.locator("input[type=file]").nth(slot).set_input_files(file_of(content, name))


def button(place: Page | Locator, name: str) -> Locator:
    return place.get_by_role("button", name=name, exact=True)


def choose_person(page: Page, words: str, shown: str) -> None:
    """In the open dialog, once its list is the answer: a click on a row that is replaced then is lost."""
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill(words)
    expect(dialog.locator(".choice")).to_have_count(1)
    dialog.locator(".choice", has_text=shown).click()


def search_for(page: Page, content: bytes) -> None:
    choose(page, content)
    button(page, "Search").click()
    expect(page.locator(".verdict")).to_be_visible()


def view(page: Page, name: str) -> None:
    page.evaluate("name => { location.hash = '#/' + name; }", name)
    expect(page.locator(f"main[data-view={name.partition('/')[0]}]")).to_be_visible()


def settled(page: Page) -> None:
    """Wait until nothing is being loaded."""
    expect(page.locator(".loading, [aria-busy]")).to_have_count(0)


def ask(server: PageServer, path: str, **query: str) -> Any:
    return httpx2.get(server.url + path, params=query).raise_for_status().json()


def two_people() -> bytes:
    """Person 4 on the left and a stranger on the right, as PNG of 128×128."""
    both = Image.new("RGB", (128, 128))
    for place, (pid, index) in enumerate([(4, 0), (STRANGER, 5)]):
        both.paste(Image.open(io.BytesIO(picture(pid, 0, index))), (64 * place, 0))
    content = io.BytesIO()
    both.save(content, "PNG")
    return content.getvalue()
