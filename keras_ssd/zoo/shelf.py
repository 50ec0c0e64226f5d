"""Finds the data folder of the zoo: inside the installed package, or at the root of a checkout."""

from pathlib import Path


def shelf() -> Path:
    """The folder of catalogue, labels, maps and cards.

    Raises:
        FileNotFoundError: neither place has it, so the installation is damaged.
    """
    installed = Path(__file__).parent / "data"
    checkout = Path(__file__).parents[2] / "zoo"
    for folder in (installed, checkout):
        if (folder / "catalog.toml").is_file():
            return folder
    raise FileNotFoundError(
        f"The weight catalogue is missing. Expected catalog.toml in {installed} (an installed package) or "
        f"{checkout} (a checkout). Install keras-ssd again."
    )
