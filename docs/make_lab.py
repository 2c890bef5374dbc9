"""docs/lab/ and the explorer's lab.json, from the rows in docs/lab/results/ alone."""

from pathlib import Path

from gatewise import lab
from gatewise.explorer.claims import summary
from gatewise.lab.report import write_pages
from gatewise.lab.store import Store

FOLDER = Path(__file__).parent / "lab"
SUMMARY = Path(__file__).parents[1] / "src" / "gatewise" / "explorer" / "static" / "lab.json"


def main() -> None:
    """Write them."""
    store = Store(":memory:")
    store.bring(FOLDER / "results")
    found = lab.results(store.rows(), quick=False)
    write_pages(FOLDER, found, markdown=True, of_results="results")
    SUMMARY.write_text(summary(found), "utf-8")


if __name__ == "__main__":
    main()
