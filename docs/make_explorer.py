"""docs/index.html, the explorer as the documents' front door; and the pictures of its tutorial.

Needs Chromium, as the tests of the page do. `GATEWISE_CHROMIUM` names another one.
"""

import os
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

from gatewise.explorer.adding import adding_data
from gatewise.explorer.page import page_of

DOCS = Path(__file__).parent
PAGE = DOCS / "index.html"
PICTURES = DOCS / "images" / "explorer"
SIZE = {"width": 1100, "height": 720}
VIEWS = {
    "cell": "#view=cell&unit=8&step=20",
    "time": "#view=time&unit=8&step=20&sort=memory",
    "swap": "#view=swap&unit=8&step=20&swap=cell_output.identity",
    "gradient": "#view=gradient&of=readout&unit=8&step=49",
    "train": "#view=train&trained=300",
}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def main() -> None:
    """Write them."""
    page = page_of([adding_data()], title="A cell at work", command="python docs/make_explorer.py")
    PAGE.write_text(page, "utf-8")
    PICTURES.mkdir(exist_ok=True)
    program = os.environ.get("GATEWISE_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        for name, fragment in VIEWS.items():
            view = browser.new_page(viewport=SIZE, color_scheme="light")
            view.goto(PAGE.resolve().as_uri() + fragment)
            view.wait_for_selector("html[data-ready]", state="attached")
            view.wait_for_timeout(4000 if name == "train" else 800)
            view.screenshot(path=PICTURES / f"{name}.png")
        view = browser.new_page(viewport=SIZE, color_scheme="light")
        view.goto(PAGE.resolve().as_uri())
        view.get_by_test_id("tour-start").click()
        view.get_by_test_id("tour-next").click()
        view.wait_for_timeout(1200)
        view.screenshot(path=PICTURES / "tour.png")
        browser.close()


if __name__ == "__main__":
    main()
