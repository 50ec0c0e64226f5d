"""YAML of strangers, read by PyYAML's safe loader: bounded in size, depth and aliases, with every value as text.

Values stay text, since class names are: a class "no", "1.0" or "007" is none of False, 1 and 7.
"""

from typing import Any

import yaml

MAX_TEXT = 4 << 20  # ten thousand class names take 200 KB
MAX_DEPTH = 32
MAX_NODES = 100_000  # after aliases are unfolded
_TAGS = (None, "!", *(f"tag:yaml.org,2002:{kind}" for kind in ("str", "null", "map", "seq")))


class YamlError(ValueError):
    """Text that is not YAML, or YAML that is refused.

    Attributes:
        line: of the error.
    """

    def __init__(self, what: str, line: int = 0) -> None:
        super().__init__(what)
        self.line: int = line


_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the fast one where PyYAML was built with it


class _TextLoader(_Loader):
    """Builds only tables, lists, texts and None, and refuses repeated keys."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own table of texts that are not plain text
        first: [(tag, pattern) for tag, pattern in pairs if tag.rpartition(":")[2] in ("null", "merge")]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise YamlError(f"the key {key.value[:60]!r} occurs twice", key.start_mark.line + 1)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        return super().construct_mapping(node, deep)


def read_yaml(text: str) -> dict[Any, Any]:
    r"""The table in the text of a YAML file.

    Returns:
        Dictionary from keys to values: texts, None, lists and dictionaries of these; empty for an empty file.

    Raises:
        YamlError: the text is not YAML, not a table, repeats a key or builds objects; or it is too large or too deep,
            also by aliases of aliases.

    Example:
        >>> read_yaml("train: images  # a folder\nnames: [men's shoe, 'no']")
        {'train': 'images', 'names': ["men's shoe", 'no']}
    """
    if len(text) > MAX_TEXT:
        raise YamlError(f"it is larger than {MAX_TEXT >> 20} MiB")
    try:
        _check_bounds(text)
        found = yaml.load(text, _TextLoader)
    except YamlError:
        raise
    except yaml.YAMLError as error:
        raise _told(error) from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise YamlError(f"expected `key: value`, and found {text.strip()[:60]!r}", 1)
    return found


def _told(error):
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = ": ".join(part for part in (getattr(error, "context", None), getattr(error, "problem", None)) if part)
    what = " ".join((what or str(error)).split())[:200]
    return YamlError(f"it is not YAML ({what})", mark.line + 1 if mark else 0)


def _check_bounds(text):
    """Counts what loading would build, without building it."""
    sizes, open_nodes = {}, []  # of anchors; [anchor, nodes so far]
    for event in yaml.parse(text, _TextLoader):
        line = event.start_mark.line + 1
        if getattr(event, "tag", None) not in _TAGS:
            raise YamlError(f"it builds objects of the kind {event.tag[:60]!r}", line)
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append([event.anchor, 1])
            if len(open_nodes) > MAX_DEPTH:
                raise YamlError(f"it nests deeper than {MAX_DEPTH}", line)
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_nodes.pop()
        elif isinstance(event, yaml.ScalarEvent):
            anchor, size = event.anchor, 1
        elif isinstance(event, yaml.AliasEvent):
            inside = any(event.anchor == anchor for anchor, _ in open_nodes)  # it contains itself
            anchor, size = None, MAX_NODES + 1 if inside else sizes.get(event.anchor, 1)
        else:
            continue
        if anchor:
            sizes[anchor] = size
        if open_nodes:
            open_nodes[-1][1] += size
            size = open_nodes[-1][1]
        if size > MAX_NODES:
            raise YamlError(f"it unfolds to more than {MAX_NODES:,} values, or to no end", line)


def quoted(text: str) -> str:
    """Text as a YAML scalar that every reader takes for text."""
    return "'" + text.replace("'", "''") + "'"
