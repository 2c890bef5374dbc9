"""docs/lab/: a page for each claim and reproduction, from the rows in docs/lab/results/ alone."""

from pathlib import Path

from gatewise import lab
from gatewise.lab.report import write_pages
from gatewise.lab.store import Store

FOLDER = Path(__file__).parent / "lab"


def main() -> None:
    """Write them."""
    store = Store(":memory:")
    store.bring(FOLDER / "results")
    found = lab.results(store.rows(), quick=False)
    write_pages(FOLDER, found, markdown=True, of_results="results")


if __name__ == "__main__":
    main()
