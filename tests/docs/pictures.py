"""Take the picture of a room in two windows again: `python -m tests.docs.pictures`."""

import sys
import tempfile
from base64 import b64encode
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from tests.generated.test_room_page import CHROMIUM, enter, say, serving
from tests.generated.workshop import falconws

PICTURE = Path(__file__).parents[2] / "docs" / "howto" / "room.png"
STYLE = """
body { display: flex; gap: 16px; margin: 0; padding: 12px; width: max-content; background: #e8eaee; }
figure { margin: 0; overflow: hidden; border-radius: 8px; background: #fff; box-shadow: 0 1px 6px #0003; }
figcaption { padding: 7px 12px; font: 13px system-ui, sans-serif; color: #555; background: #d8dbe1; }
img { display: block; width: 440px; }
"""


def main() -> None:
    """Let two people talk in a new project's room, and write the picture."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        falconws(Path(folder), "new", "demo")
        root = Path(folder) / "demo"
        falconws(root, "add-resource", "chat", "--pattern", "room")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        with serving(root, 0, "") as port:
            ada = enter(browser, port, "ada")
            ben = enter(browser, port, "ben")
            for page in (ada, ben):
                page.set_viewport_size({"width": 440, "height": 420})
                expect(page.locator("#present")).to_contain_text("ada, ben")
            lines = (
                (ada, "Hi Ben, the new build is up."),
                (ben, "I can see it. Shall we ship it today?"),
                (ada, "Yes, after lunch."),
                (ben, "Then I write the release notes."),
            )
            for page, text in lines:
                say(page, text)
                for reader in (ada, ben):
                    expect(reader.locator("#log")).to_contain_text(text)
            shots = {"Ada": ada.screenshot(), "Ben": ben.screenshot()}
            figures = "".join(
                f"<figure><figcaption>{name}</figcaption>"
                f'<img src="data:image/png;base64,{b64encode(shot).decode()}"></figure>'
                for name, shot in shots.items()
            )
            both = browser.new_page(viewport={"width": 1000, "height": 500})
            both.set_content(f"<style>{STYLE}</style>{figures}")
            both.locator("body").screenshot(path=PICTURE)
        browser.close()
    print(f"wrote {PICTURE}")


if __name__ == "__main__":
    sys.exit(main())
