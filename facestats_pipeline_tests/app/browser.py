"""The real dashboard in a real browser: `facestats dashboard` as a process, and Debian's Chromium, which is never downloaded."""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from facestats_pipeline_tests.dagster_page import free_port
from facestats_pipeline_tests.processes import running

CHROMIUM = "/usr/bin/chromium"
ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",  # a camera that shows a green field, where the machine has none
    "--use-fake-ui-for-media-stream",
)
PATIENCE = 90_000
"""Milliseconds for anything a page must show: machines that run tests may be busy."""


@contextmanager
def dashboard(data: Path, log: Path, **environ: str) -> Iterator[str]:
    """Address of `facestats dashboard` on a folder; ended with the block."""
    port = free_port()
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("FACESTATS_", "DAGSTER_"))}
    command = [
        Path(sys.executable).with_name("facestats"),
        "dashboard",
        "--no-browser",
        "--port",
        str(port),
        "-d",
        data,
    ]
    with running(command, log, env=kept | environ, cwd=log.parent) as server:
        url = f"http://127.0.0.1:{port}"
        for _ in range(300):
            assert server.poll() is None, log.read_text()
            try:
                with urlopen(f"{url}/_stcore/health", timeout=1):
                    break
            except (URLError, OSError):
                time.sleep(0.2)
        else:
            pytest.fail(f"the dashboard did not start: {log.read_text()}")
        yield url


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium; the test is skipped with the reason where it, or Playwright, is absent."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (extra dev)")
    if shutil.which(CHROMIUM) is None:
        pytest.skip(f"no browser: {CHROMIUM} is not installed")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=list(ARGS))
        try:
            yield chromium
        finally:
            chromium.close()


class Visitor:
    """A page of the dashboard with what a visitor does; every request that leaves this machine is kept in `outside`."""

    def __init__(self, chromium: Any, url: str, artifacts: Path, *, scheme: str = "light", width: int = 1280) -> None:
        self.url, self.artifacts, self.width = url, artifacts, width
        context = chromium.new_context(
            color_scheme=scheme, viewport={"width": width, "height": 900}, accept_downloads=True
        )
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.outside: list[str] = []
        self.page.on("request", lambda request: self._note(request.url))

    def _note(self, url: str) -> None:
        if not url.startswith((self.url, self.url.replace("http", "ws", 1), "data:", "blob:")):
            self.outside.append(url)

    def go(self, path: str, title: str) -> None:
        """Open a page and wait until the script has run."""
        self.page.goto(f"{self.url}/{path}")
        self.page.get_by_role("heading", name=title, exact=True).wait_for()
        self.settle()

    def settle(self) -> None:
        """Wait until the script has run to its end and nothing failed in it."""
        self.page.wait_for_timeout(300)
        self.page.locator("[data-testid=stStatusWidget]").wait_for(state="detached")
        self.page.wait_for_function("!document.querySelector('[data-testid=stSpinner]')")
        self.page.wait_for_function("!document.querySelector('[data-stale=true]')")
        assert self.page.locator("[data-testid=stException]").count() == 0, self.page.locator(
            "[data-testid=stException]"
        ).inner_text()

    def picture(self, name: str) -> None:
        """A screenshot of the whole page, kept as an artifact."""
        self.page.wait_for_timeout(700)  # charts draw after the script has ended
        height = self.page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
        self.page.set_viewport_size({"width": self.width, "height": min(max(900, height), 4000)})
        self.page.wait_for_timeout(500)
        self.page.screenshot(path=self.artifacts / f"{name}.png")
        self.page.set_viewport_size({"width": self.width, "height": 900})

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))
