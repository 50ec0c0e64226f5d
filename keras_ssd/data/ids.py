"""Ids of images, categories and objects in json: 1, 1.0 and "1" are one id, wherever they do not stand side by side."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_WHOLE = re.compile(r"[+-]?\d{1,18}(?:\.0*)?")


def is_id(value: Any) -> bool:
    """Whether a value of a json file can be an id: a whole number, or text."""
    return plain_id(value) is not None


def plain_id(value: Any) -> int | str | None:
    """An id as it is kept: a whole number that is written as a float is an int; None for what is no id."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1 << 53 else None
    return value if isinstance(value, (int, str)) and not isinstance(value, bool) else None


def _number(key):
    """The whole number that an id says, as number or as text; else None."""
    if isinstance(key, str):
        return int(key.strip().partition(".")[0]) if key.isascii() and _WHOLE.fullmatch(key.strip()) else None
    return key


class Ids:
    """What has an id, found by the id as it stands, and else by the number that it says.

    Args:
        items: dictionary from id to what has it.

    Example:
        >>> Ids({1: "cat", "2": "dog"}).get("1"), Ids({"2": "dog"}).get(2.0)
        (("cat", False), ("dog", False))
    """

    def __init__(self, items: Mapping[Any, Any]) -> None:
        self._items, self._numbers = items, {}
        for key in items:
            number = _number(key)
            if number is not None:
                self._numbers.setdefault(number, []).append(key)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def get(self, value: Any) -> tuple[Any, bool]:
        """(what has the id, whether the id stands there so); (None, False) if nothing has it, or if two may."""
        key = plain_id(value)
        if key is None:
            return None, False
        if key in self._items:
            return self._items[key], True
        keys = self._numbers.get(_number(key), ())
        return (self._items[keys[0]], False) if len(keys) == 1 else (None, False)
