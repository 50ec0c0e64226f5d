"""Ids of images, categories and objects in json: 1, 1.0 and "1" are one id, unless a file has several of them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_WHOLE = re.compile(r"[+-]?\d{1,18}(?:\.0*)?")


def is_id(value: Any) -> bool:
    """Whether a value of a json file can be an id: a whole number, or text."""
    return plain_id(value) is not None


def plain_id(value: Any) -> int | str | None:
    """An id in its stored form: an int for a whole number written as a float; None if it is not an id."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1 << 53 else None
    return value if isinstance(value, (int, str)) and not isinstance(value, bool) else None


def _number(key):
    """The whole number of an id, from a number or a text; else None."""
    if isinstance(key, str):
        return int(key.strip().partition(".")[0]) if key.isascii() and _WHOLE.fullmatch(key.strip()) else None
    return key


class Ids:
    """Finds values by id: by the same id, or else by the same number.

    Args:
        items: dictionary from id to value.

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
        """(value of the id, whether the id is the same); (None, False) if there is none, or if several match."""
        key = plain_id(value)
        if key is None:
            return None, False
        if key in self._items:
            return self._items[key], True
        keys = self._numbers.get(_number(key), ())
        return (self._items[keys[0]], False) if len(keys) == 1 else (None, False)
