"""Reads prototxts: protobuf's text format of a NetParameter."""

import os
import re
from pathlib import Path

from keras_ssd.caffe.files.blobs import array_of_blob
from keras_ssd.caffe.files.identity import check_is_text
from keras_ssd.caffe.files.net import CaffeFileError, CaffeNet
from keras_ssd.caffe.files.schema import INTEGERS, fields_by_name
from keras_ssd.caffe.files.upgrade import net_from_fields
from keras_ssd.names import files_nearby
from keras_ssd.text_files import encoding_of

# The longest prototxts of published nets have 0.5 MB; once parsed, they take about 50 times as much.
MAX_TEXT_BYTES = 4 << 20
MAX_DEPTH = 32

TOKEN = re.compile(
    r"""(?:[\s]+|\#[^\n]*)*
    (?:(?P<number>[-+]?\s*(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?[fF]?)(?![\w.]))
    |(?P<name>-?[A-Za-z_]\w*)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<mark>[{}<>\[\]:;,])
    |(?P<end>\Z))""",
    re.VERBOSE,
)
ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|(.))")
ESCAPED = {"n": 10, "r": 13, "t": 9, "a": 7, "b": 8, "f": 12, "v": 11, "\\": 92, "'": 39, '"': 34, "?": 63}
CLOSING = {"{": "}", "<": ">"}
BOOLS = {"true": True, "True": True, "t": True, "1": True, "false": False, "False": False, "f": False, "0": False}


class Word(str):
    """A bare word, such as an enum's name, in an unknown message; text in quotes is a plain str."""

    __slots__ = ()


def read_prototxt(path: str | os.PathLike[str]) -> CaffeNet:
    """Reads the text description of a net.

    Args:
        path: a `.prototxt` with `layer` records or the older `layers`.

    Returns:
        A `CaffeNet` with the layers of all phases.

    Raises:
        FileNotFoundError: there is no such file.
        CaffeFileError: the file is not the prototxt of a net; the message names the line.

    Example:
        >>> net = read_prototxt("deploy.prototxt")
        >>> net.layers[1].settings("convolution_param")["kernel_size"]
        (3,)
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no prototxt at {path}.{files_nearby(path)}")
    check_is_text(path)
    data = path.read_bytes() if path.stat().st_size <= MAX_TEXT_BYTES else b""
    if not data:
        raise CaffeFileError(
            f"{path} is larger than a net's prototxt may be ({MAX_TEXT_BYTES:,} bytes). Received: "
            f"{path.stat().st_size:,} bytes. Give the prototxt; the weights must be in the caffemodel."
        )
    try:
        text = data.decode(encoding_of(data))
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # comments in a national encoding; the rest is ASCII
    return parse_prototxt(text, path)


def parse_prototxt(text: str, path: Path | None = None) -> CaffeNet:
    """Parses the text description of a net; `path` is for messages.

    Raises:
        CaffeFileError: the text is not a net; the message names the line.
    """
    path = None if path is None else Path(path)
    return net_from_fields(
        _Parser(text.removeprefix("\ufeff"), path or "<text>").message("NetParameter", None, 0), path
    )


class _Parser:
    """Reads one token after the other; messages may be nested at most `MAX_DEPTH` deep."""

    def __init__(self, text, source):
        self.text = text
        self.source = source
        self.position = 0
        self.start = 0
        self.kind = self.token = ""
        self.advance()

    def advance(self):
        """Goes to the next token."""
        match = TOKEN.match(self.text, self.position)
        if match is None:
            skipped = re.compile(r"(?:\s+|#[^\n]*)*").match(self.text, self.position)
            self.start = skipped.end() if skipped else self.position
            self.token = self.text[self.start : self.start + 20].split("\n")[0]
            raise self.error("a field name, a value or a brace")
        self.kind = match.lastgroup or ""
        self.token = match[self.kind]
        self.start = match.start(self.kind)
        self.position = match.end()

    def line(self, position):
        """The line number of a position, for messages."""
        return self.text.count("\n", 0, position) + 1

    def error(self, expected, received=None):
        shown = received if received is not None else ("the end" if self.kind == "end" else repr(self.token[:60]))
        return CaffeFileError(f"{self.source}, line {self.line(self.start)}: expected {expected}. Received: {shown}.")

    def is_mark(self, *marks):
        return self.kind == "mark" and self.token in marks

    def message(self, name, closing, depth):
        """The fields up to the closing brace, or up to the end of the text."""
        if depth > MAX_DEPTH:
            raise self.error(f"messages nested at most {MAX_DEPTH} deep", "a deeper one")
        known, fields = fields_by_name(name), {}
        while True:
            if self.kind == "end" and closing is None:
                return fields
            if closing is not None and self.is_mark(closing):
                self.advance()
                return fields
            if self.kind != "name" or self.token.startswith("-"):
                raise self.error("a field name" if closing is None else f"a field name or {closing!r}")
            self.field(known, fields, depth)
            if self.is_mark(";", ","):
                self.advance()

    def field(self, known, fields, depth):
        name, start = self.token, self.start
        field = known.get(name)
        self.advance()
        colon = self.is_mark(":")
        if colon:
            self.advance()
        if not colon and not self.is_mark("{", "<"):
            raise self.error(f"':' or '{{' after {name!r}")
        if self.is_mark("["):
            values = self.list_of(name, field, depth)
        else:
            values = [self.value(name, field, depth)]
        if field is not None and not field.repeated and not field.last_counts and (name in fields or len(values) != 1):
            self.start = start
            raise self.error(f"{name!r} at most once in its message", "a second one")
        _add(fields, name, field, values)

    def list_of(self, name, field, depth):
        """The values of `[1, 2]`."""
        self.advance()
        values = []
        while not self.is_mark("]"):
            if values:
                if not self.is_mark(","):
                    raise self.error("',' or ']'")
                self.advance()
            values.append(self.value(name, field, depth))
        self.advance()
        return values

    def value(self, name, field, depth):
        if self.is_mark("{", "<"):
            if field is not None and field.type != "message":
                raise self.error(f"a value for {name!r}")
            closing = CLOSING[self.token]
            self.advance()
            start = self.start
            inside = self.message(field.message if field is not None else None, closing, depth + 1)
            if field is not None and field.message == "BlobProto":
                return array_of_blob(inside, lambda: f"{self.source}, line {self.line(start)}")
            return inside
        if field is not None and field.type == "message":
            raise self.error(f"'{{' after {name!r}")
        if self.kind not in ("number", "name", "string"):
            raise self.error(f"a value for {name!r}")
        if self.kind == "string":
            # Some files quote a V1 record's type: `layers { type: "Convolution" }`.
            v1_type = name == "type" and field is not None and field.type == "enum"
            if field is not None and field.type not in ("string", "bytes") and not v1_type:
                raise self.error(_expectation(field))
            return self.string(field)
        value = _scalar(self.kind, self.token, field)
        if value is None:
            raise self.error(_expectation(field))
        self.advance()
        return value

    def string(self, field):
        """A string in quotes; adjacent strings are joined."""
        parts = []
        while self.kind == "string":
            parts.append(_unescaped(self.token[1:-1]))
            self.advance()
        data = b"".join(parts)
        return data if field is not None and field.type == "bytes" else data.decode("utf-8", errors="replace")


def _add(fields, name, field, values):
    if field is not None and not field.repeated:
        fields[name] = values[-1]
    elif field is not None or name in fields or len(values) != 1:
        held = fields.setdefault(name, [])
        if not isinstance(held, list):  # a fork's field, met a second time
            held = fields[name] = [held]
        held.extend(values)
    else:
        fields[name] = values[0]


def _scalar(kind, token, field):
    """The value of a number or a name, or None if the field's type does not allow it."""
    if field is None:
        return _untyped(kind, token)
    if field.type == "enum":
        if kind == "name":
            return token if token in field.enum else None
        number = _integer(token)
        return None if number is None else field.enum_name(number)
    if field.type == "bool":
        return BOOLS.get(token)
    if field.type in INTEGERS:
        number = _integer(token) if kind == "number" else None
        lowest, highest = INTEGERS[field.type]
        return number if number is not None and lowest <= number <= highest else None
    return _float(token) if field.type in ("float", "double") else None


def _untyped(kind, token):
    if kind == "name":
        if token.lstrip("-") in ("inf", "infinity", "nan"):
            return float(token)
        return BOOLS[token] if token in ("true", "false") else Word(token)
    number = _integer(token)
    return _float(token) if number is None else number


def _integer(token):
    token = re.sub(r"\s", "", token)
    digits = token.lstrip("+-")
    base = 16 if digits[:2] in ("0x", "0X") else 8 if re.fullmatch(r"0[0-7]+", digits) else 10
    if not re.fullmatch(r"0[xX][0-9a-fA-F]+|\d+", digits) or len(digits) > 64:
        return None
    try:
        return int(token, base)
    except ValueError:
        return None


def _float(token):
    token = re.sub(r"\s", "", token).lower()
    if "x" in token:
        value = _integer(token)
        return None if value is None else float(value)
    if token.lstrip("+-") in ("inf", "infinity", "nan"):
        return float(token)
    try:
        return float(token.removesuffix("f"))
    except ValueError:
        return None


def _unescaped(text):
    """The bytes of a string without its escapes."""
    parts, position = [], 0
    for match in ESCAPE.finditer(text):
        parts.append(text[position : match.start()].encode("utf-8", errors="replace"))
        octal, hexadecimal, letter = match.groups()
        if letter is None:
            parts.append(bytes([int(octal, 8) & 255 if octal else int(hexadecimal, 16)]))
        else:
            parts.append(bytes([ESCAPED[letter]]) if letter in ESCAPED else letter.encode("utf-8", errors="replace"))
        position = match.end()
    return b"".join([*parts, text[position:].encode("utf-8", errors="replace")])


def _expectation(field):
    if field.type == "enum":
        return f"one of {', '.join(field.enum)} for {field.name!r}"
    kinds = {"bool": "true or false", "string": "a text in quotes", "bytes": "a text in quotes"}
    limits = {"uint32": "an integer of at least 0", "int32": "an integer of 32 bits", "int64": "an integer of 64 bits"}
    return f"{ {**kinds, **limits}.get(field.type, 'a number') } for {field.name!r}"
