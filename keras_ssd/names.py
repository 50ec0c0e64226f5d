"""Error texts for names that are not known: one wording, always with the nearest known name."""

import difflib


def nearest(name, known, count=3):
    """The known names closest to `name`, best first; upper and lower case do not count."""
    folded = {str(k).casefold(): str(k) for k in known}
    hits = difflib.get_close_matches(str(name).casefold(), folded, n=count, cutoff=0.5)
    return [folded[hit] for hit in hits]


def unknown_name(kind, name, known, advice=""):
    """The text for an unknown name: what, nearest names, some known ones, and what to do."""
    known = [str(k) for k in known]
    close = nearest(name, known)
    text = f"Unknown {kind} {name!r}."
    if close:
        text += " Did you mean " + " or ".join(repr(c) for c in close) + "?"
    shown = ", ".join(known[:30]) + (f", ... ({len(known)} in all)" if len(known) > 30 else "")
    text += f" Known: {shown}." if known else " None is known."
    return text + (f" {advice}" if advice else "")
