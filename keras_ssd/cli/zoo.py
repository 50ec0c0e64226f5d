"""`keras-ssd zoo`: which trained weights exist, what they are, and bringing them into the cache."""

import dataclasses
import json
import shutil
import sys

from keras_ssd.cli import inspecting
from keras_ssd.cli.parsing import Commands, notes
from keras_ssd.cli.tables import print_table

HELP = "list, explain and download trained weights"
EXAMPLES = """\
examples:
  keras-ssd zoo list                           the weights that can be loaded
  keras-ssd zoo list --model ssd300 --all      all of SSD300, readable or not
  keras-ssd zoo show ssd300.voc07+12           what it is, how good it is, and
                                               where it comes from
  keras-ssd zoo download ssd300.voc07+12       into the cache; prints the path
  keras-ssd zoo inspect weights.caffemodel     what is inside a file
  keras-ssd zoo list --json | jq '.[].name'    for machines

The cache is ~/.cache/keras_ssd (or this system's place for caches);
KERAS_SSD_HOME moves it.
"""
DOWNLOAD_NOTES = """\
An interrupted download continues when the command is repeated. Sizes and
checksums are compared with the published ones; a file without a published
checksum is pinned at its first use and compared ever after.

exit codes: 0 all there, 1 some could not be downloaded (each is named), 2 none
could.
"""


def add_parser(commands: Commands) -> None:
    """Adds `zoo` and its subcommands to the command line.

    Args:
        commands: what `add_subparsers` returned.
    """
    parser = commands.add_parser("zoo", help=HELP, **notes(HELP.capitalize() + ".", EXAMPLES))
    actions = parser.add_commands("action", "ACTION")

    lister = actions.add_parser("list", help="a table of weights", **notes(None, EXAMPLES))
    lister.add_argument("--model", help="only those of this network, for example ssd300")
    lister.add_argument("--all", action="store_true", help="also those that this package cannot load yet")
    lister.add_argument("--json", action="store_true", help="print JSON")
    lister.set_defaults(run=_list, needs_backend=False)

    shower = actions.add_parser("show", help="a card of one weight set", **notes(None, EXAMPLES))
    shower.add_argument("name", help="for example ssd300.voc07+12")
    shower.add_argument("--json", action="store_true", help="print JSON")
    shower.set_defaults(run=_show, needs_backend=False)

    loader = actions.add_parser("download", help="download into the cache", **notes(None, DOWNLOAD_NOTES))
    loader.add_argument("names", nargs="+", metavar="NAME", help="for example ssd300.voc07+12")
    loader.add_argument(
        "--formats",
        "--format",
        action="append",
        metavar="FORMAT",
        help="take files of this format, even one that is not read yet (repeat for several)",
    )
    loader.add_argument("--quiet", action="store_true", help="no progress bar")
    loader.set_defaults(run=_download, needs_backend=False)

    inspecting.add_parser(actions)


def _list(args):
    from keras_ssd import zoo

    found = zoo.entries(model=args.model, readable=None if args.all else True)
    if args.json:
        print(json.dumps([_as_dict(entry) for entry in found], indent=1))
        return 0
    rows = [_row(entry) for entry in found]
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join(row.values()))
        return 0
    titles = _fitting(rows, shutil.get_terminal_size().columns)
    cells = [[row[title] for title in titles] for row in rows]
    print_table(
        titles,
        cells,
        whole=[title for title in titles if title != "Name"],
        dim=[row["State"] == "later" for row in rows],
    )
    hidden = len(zoo.entries(model=args.model)) - len(found)
    if hidden:
        print(f"{hidden} more cannot be loaded by this package yet; --all shows them.")
    if any(row["State"] == "later" for row in rows):
        print("later: known, but this package does not read the file or build the model yet.")
    return 0


def _row(entry):
    """The cells of one line, by column title."""
    from keras_ssd import zoo
    from keras_ssd.zoo import cards

    architecture = zoo.architectures()[entry.model]
    best = entry.results[0] if entry.results else None
    size = architecture.input_size
    return {
        "Name": entry.name,
        "Model": architecture.title,
        "Classes": f"{entry.classes} {len(zoo.labels(entry.classes))}" if entry.classes else "-",
        "Input": f"{size[0]}x{size[1]}" if size else "-",
        "mAP, %": f"{cards.percent_text(best.value)} {best.dataset.split()[0]}" if best else "-",
        "Size": cards.size_text(_shown_source(entry)) or "-",
        "State": _state(entry),
    }


def _shown_source(entry):
    """The source that a download would try first."""
    return (entry.readable_sources or entry.sources)[0]


def _state(entry):
    from keras_ssd import zoo

    if entry.bundled:
        return "included" if zoo.cached(entry) else "missing"
    if zoo.cached(entry) or zoo.cached(entry, formats=list(zoo.formats())):
        return "cached"
    return "available" if entry.readable else "later"


def _fitting(rows, width):
    """The titles of the columns that fit on the screen; the least needed give way first."""
    titles = [title for title in rows[0] if any(row[title] != "-" for row in rows)] if rows else []
    # 3: a space on either side of a cell, and rich's separator; the two edges and the last cell have none.
    wide = {title: max(len(text) for text in (title, *(row[title] for row in rows))) + 3 for title in titles}
    for title in ("Model", "Size", "Input", "Classes"):
        if title in wide and sum(wide.values()) - 3 > width:
            del wide[title]
    return tuple(wide)


def _as_dict(entry):
    from keras_ssd import zoo

    path = zoo.cached(entry)
    return {
        "name": entry.name,
        **dataclasses.asdict(entry),
        "readable": entry.readable,
        "bundled": entry.bundled,
        "input_size": zoo.architectures()[entry.model].input_size,
        "class_names": list(zoo.labels(entry.classes)) if entry.classes else None,
        "cached": str(path) if path else None,
    }


def _show(args):
    from keras_ssd import zoo

    entry = zoo.find(args.name)
    print(json.dumps(_as_dict(entry), indent=1) if args.json else zoo.describe(entry))
    return 0


def _download(args):
    from keras_ssd import zoo

    entries = [zoo.find(name) for name in args.names]  # a misspelt name is reported before any download
    failed = 0
    for entry in entries:
        try:
            print(zoo.download(entry, formats=args.formats, progress=not args.quiet), flush=True)
        except (ValueError, OSError) as error:
            if args.traceback:
                raise
            failed += 1
            print(f"keras-ssd zoo download: {error}", file=sys.stderr)
    return 0 if not failed else 1 if failed < len(entries) else 2
