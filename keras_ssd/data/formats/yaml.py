"""The part of YAML that data.yaml files are written in: keys at the top with text, a list or a table of texts.

A whole YAML reader can build objects and unfold aliases without end; these files need neither.
"""

import re

_KEY = re.compile(r"""(?:"([^"]*)"|'([^']*)'|([^\s:#'"\[\]{}&*!|>%@`-][^:#]*?|\d+))\s*:(?:\s+(.*)|)$""")


class YamlError(ValueError):
    """Text that is no such YAML.

    Attributes:
        line: where.
    """

    def __init__(self, what, line):
        super().__init__(what)
        self.line = line


def read_yaml(text):
    """The keys at the top of a file.

    Args:
        text: of the file.

    Returns:
        Dictionary from key to text, None, list of texts or dictionary of texts. Tables within tables and blocks of
        text are read over.

    Raises:
        YamlError: a line that is none of these.

    Example:
        >>> read_yaml("train: images  # a folder\\nnames: [cat, 'dog']")
        {'train': 'images', 'names': ['cat', 'dog']}
    """
    lines = [(number, _without_comment(line)) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line.strip() and line.strip() != "---"]
    found = {}
    while lines:
        number, line = lines.pop(0)
        hit = None if line[0] in " \t" else _KEY.match(line.rstrip())
        if hit is None:
            raise YamlError(f"expected `key: value`, and found {line.strip()[:60]!r}", number)
        key, value = _key(hit), (hit[4] or "").strip()
        below = []
        while lines and (lines[0][1][0] in " \t" or lines[0][1].startswith("- ")):
            below.append(lines.pop(0))
        if value[:1] in ("|", ">"):
            continue
        if value[:1] in ("[", "{"):
            while lines and not _closed(value, below):
                below.append(lines.pop(0))
            found[key] = _flow(" ".join([value, *(part.strip() for _, part in below)]), number)
        else:
            found[key] = _scalar(value) if value else _block(below)
    return found


def _closed(value, below):
    return (value + "".join(part for _, part in below)).rstrip().endswith(("]", "}"))


def _without_comment(line):
    quote = ""
    for place, letter in enumerate(line):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'" and (not place or line[place - 1] in " [{,:-"):
            quote = letter
        elif letter == "#" and (not place or line[place - 1].isspace()):
            return line[:place]
    return line


def _key(hit):
    return next(part for part in hit.groups()[:3] if part is not None).strip()


def _scalar(text):
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1].replace("''", "'") if text[0] == "'" else text[1:-1].replace('\\"', '"')
    return None if text in ("", "~", "null") else text


def _flow(text, line):
    """[a, b] or {0: a, 1: b}, without nesting."""
    ends = {"[": "]", "{": "}"}[text[0]]
    if not text.rstrip().endswith(ends):
        raise YamlError(f"the {text[0]} is never closed", line)
    parts = re.findall(r"""\s*((?:"[^"]*"|'[^']*'|[^,"'\[\]{}])+)""", text.rstrip()[1:-1])
    parts = [part.strip() for part in parts if part.strip()]
    if ends == "]":
        return [_scalar(part) for part in parts]
    return dict(_pair(part, line) for part in parts)


def _block(below):
    """What stands indented below a key: a list, a table, or None for what is neither."""
    if not below:
        return None
    texts = [(number, line.strip(), len(line) - len(line.lstrip())) for number, line in below]
    depth = texts[0][2]
    texts = [(number, text) for number, text, indent in texts if indent == depth]
    if texts[0][1].startswith("-"):
        return [_scalar(text[1:]) for _, text in texts if text.startswith("-")]
    return dict(_pair(text, number) for number, text in texts)


def _pair(text, line):
    hit = _KEY.match(text)
    if hit is None:
        raise YamlError(f"expected `key: value`, and found {text[:60]!r}", line)
    return _key(hit), _scalar(hit[4] or "")


def quoted(text):
    """Text as a YAML scalar that every reader takes for text."""
    return "'" + text.replace("'", "''") + "'"
