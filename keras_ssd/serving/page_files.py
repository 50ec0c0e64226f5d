"""The files of the page for people."""

from pathlib import Path

SHARED = ("page.css", "sources.js", "view.js")  # of examples/browser, which the wheel packs beside the page's own
OWN = ("index.html", "app.js")


def page_files() -> dict[str, Path]:
    """{name: path} of what the page is made of.

    Raises:
        FileNotFoundError: the installation is damaged.
    """
    own = Path(__file__).parent / "page"
    places = (own, Path(__file__).parents[2] / "examples" / "browser")  # an installed package, a checkout
    found = {name: own / name for name in OWN}
    for name in SHARED:
        found[name] = next((place / name for place in places if (place / name).is_file()), own / name)
    for path in found.values():
        if not path.is_file():
            raise FileNotFoundError(f"The file {path} of the server's page is missing. Install keras-ssd again.")
    return found
