"""A real Chromium on the committed pages; without one these tests are skipped, and say so in one line."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Nothing that a browser does by itself: no first run, no updates, no reports of it.
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
REPORTS = Path(__file__).resolve().parents[2] / "reports"
PAGES = sorted(path.name for path in REPORTS.glob("*.html"))


# Of a module and not of the session: as long as Playwright is open, its event loop runs in this thread, and no other can.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium here: the pages were not opened in a browser (apt-get install chromium)")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, headless=True, args=list(QUIET))
        yield opened
        opened.close()


@pytest.fixture
def visit(browser, request):
    """`visit("index.html", width=390, dark=True)`: a page in an empty profile; what its console said is `page.said`."""
    contexts = []

    def opened(name: str, *, width: int = 1280, dark: bool = False, touch: bool = False) -> Page:
        scheme = "dark" if dark else "light"
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True, has_touch=touch
        )
        contexts.append(context)
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.said = said
        file, _, fragment = name.partition("#")
        page.goto((REPORTS / file).as_uri() + (f"#{fragment}" if fragment else ""))
        return page

    yield opened
    for context in contexts:
        context.close()
