"""Flexbuffers, as far as the options of custom operations need them: one map of names to plain numbers.

Source: the format's own description, "FlexBuffers".
"""

from typing import Any

from keras_ssd.formats.tflite.flatbuffer import MOST_TEXT, Flatbuffer, FlatbufferError

# The upper six bits of a type byte are the value's type, the lower two the width of what it holds.
INTEGER, UNSIGNED, FLOAT, MAP, BOOLEAN = 1, 2, 3, 9, 26
FORMS = {
    INTEGER: {1: "<b", 2: "<h", 4: "<i", 8: "<q"},
    UNSIGNED: {1: "<B", 2: "<H", 4: "<I", 8: "<Q"},
    FLOAT: {2: "<e", 4: "<f", 8: "<d"},
    BOOLEAN: {1: "<?", 2: "<H", 4: "<I", 8: "<Q"},
}
MOST_ENTRIES = 256


def read_map(data: Any) -> dict[str, Any]:
    """{name: number or bool} of a map; values of other kinds are left out.

    Raises:
        FlatbufferError: the bytes are not such a map.
    """
    data = bytes(data)
    if len(data) < 3:
        raise FlatbufferError(f"options of {len(data)} bytes hold no map")
    buffer, width = Flatbuffer(data), data[-1]  # the last byte is the width of the root, the one before its type
    if data[-2] >> 2 != MAP or width not in (1, 2, 4, 8):
        raise FlatbufferError("options hold no map of names to numbers")
    place = len(data) - 2 - width
    values = place - buffer.number(FORMS[UNSIGNED][width], place)
    width = 1 << (data[-2] & 3)
    form = FORMS[UNSIGNED][width]
    count = buffer.number(form, values - width)
    if count > MOST_ENTRIES:
        raise FlatbufferError(f"options of {count} entries are more than any real file has, {MOST_ENTRIES}")
    keys_at = values - 3 * width
    keys = keys_at - buffer.number(form, keys_at)
    key_width = buffer.number(form, values - 2 * width)
    if key_width not in (1, 2, 4, 8):
        raise FlatbufferError(f"names {key_width} bytes wide are unknown")
    found = {}
    for index in range(count):
        at = keys + index * key_width
        name = _text(data, at - buffer.number(FORMS[UNSIGNED][key_width], at))
        packed = buffer.number("<B", values + count * width + index)
        form = FORMS.get(packed >> 2, {}).get(width)
        if form:
            found[name] = buffer.number(form, values + index * width)
            if packed >> 2 == BOOLEAN:
                found[name] = bool(found[name])
    return found


def _text(data, at):
    end = data.find(b"\0", at, at + MOST_TEXT) if 0 <= at < len(data) else -1
    if end < 0:
        raise FlatbufferError("a name in the options has no end")
    return data[at:end].decode("utf-8", "replace")
