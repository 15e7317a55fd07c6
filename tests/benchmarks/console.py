"""How long the console takes to render in Chromium: `python -m tests.benchmarks.console [ROUNDS]`.

From the start of the navigation to the heading of the view, in a browser without a cache, by the clock of the page.
"""

from __future__ import annotations

import sys
from statistics import median

from playwright.sync_api import Browser, sync_playwright

from tests.e2e.console.conftest import CHROMIUM, HERE, serving

TARGET_MS = 500.0
_ROUNDS = 20
_OBSERVE = """
new MutationObserver(() => {
  if (document.querySelector("main h2")) window.renderedMs ??= performance.now();
}).observe(document, { childList: true, subtree: true });
"""


def measure(browser: Browser, url: str, rounds: int) -> list[float]:
    """Return the time of each round in milliseconds."""
    found = []
    for _ in range(rounds):
        context = browser.new_context()
        context.add_init_script(_OBSERVE)
        page = context.new_page()
        page.goto(url)
        page.wait_for_selector("main h2")
        found.append(float(page.evaluate("window.renderedMs")))
        context.close()
    return found


def main(words: list[str]) -> int:
    """Measure and print; return an exit code."""
    if CHROMIUM is None:
        print("The benchmark needs Chromium.", file=sys.stderr)
        return 1
    with (
        serving(HERE, "served:app", "--console", "--port", "0", "--no-access-log") as url,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        times = measure(browser, f"{url}/_falconws/", int(words[0]) if words else _ROUNDS)
        browser.close()
    verdict = "within" if median(times) <= TARGET_MS else "over"
    print(
        f"{len(times)} rounds: median {median(times):.0f} ms, fastest {min(times):.0f}, slowest {max(times):.0f}; "
        f"{verdict} the target of {TARGET_MS:.0f} ms"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
