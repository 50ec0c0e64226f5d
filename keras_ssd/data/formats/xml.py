"""XML with line numbers, for files from strangers: no declarations, no entities, no depth, bounded size."""

import codecs
import dataclasses
import os
import re
from typing import Any
from xml.parsers import expat

from keras_ssd.text_files import encoding_of

MAX_BYTES = 16 << 20  # the largest of VOC has 20 KB
MAX_DEPTH = 32
MAX_ELEMENTS = 1_000_000


_DECLARED = re.compile(rb"""\s*<\?xml\s[^>]*?encoding\s*=\s*["']([\w.:-]+)["']""")
# What expat does not decode: the names of encodings, and of those that hold their later characters too, which programs
# write under the older name.
_OF_SEVERAL_BYTES: dict[str, str] = {
    **dict.fromkeys(("gb2312", "gbk", "gb18030"), "gb18030"),
    **dict.fromkeys(("big5", "cp950"), "cp950"),
    **dict.fromkeys(("shift_jis", "cp932"), "cp932"),
    **dict.fromkeys(("euc_kr", "cp949"), "cp949"),
    **{name: name for name in ("big5hkscs", "euc_jp", "iso2022_jp", "iso2022_kr", "johab", "hz")},
}


class XmlError(ValueError):
    """A file that is not XML, or XML that is refused.

    Attributes:
        line: of the error.
    """

    def __init__(self, what: str, line: int = 0) -> None:
        super().__init__(what)
        self.line: int = line


@dataclasses.dataclass
class Element:
    """A tag with its attributes, its own text without surrounding white space, and its children."""

    tag: str
    line: int
    text: str = ""
    children: "list[Element]" = dataclasses.field(default_factory=list)
    attributes: dict[str, str] = dataclasses.field(default_factory=dict)

    def all(self, tag: str) -> "list[Element]":
        """The elements of a tag directly below, in upper or lower case."""
        return [child for child in self.children if child.tag.lower() == tag]

    def find(self, path: str) -> "Element | None":
        """The first element along a path of tags "size/width", or None."""
        found = self
        for tag in path.split("/"):
            found = next(iter(found.all(tag)), None)
            if found is None:
                return None
        return found

    def get(self, path: str) -> str | None:
        """The text of the first element along a path, or None."""
        found = self.find(path)
        return None if found is None else found.text


class _Tree:
    """Takes expat's events; refuses what an annotation never needs."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.characters
        # Every attack by entities (billion laughs, files from elsewhere) needs a document type declaration.
        self.parser.StartDoctypeDeclHandler = self.doctype
        self.parser.XmlDeclHandler = self.declaration
        self.declared = None
        self.root: Any = None
        self.open = []
        self.count = 0

    def start(self, tag, attributes):
        line = self.parser.CurrentLineNumber
        self.count += 1
        if len(self.open) >= MAX_DEPTH or self.count > MAX_ELEMENTS:
            raise XmlError(f"it nests deeper than {MAX_DEPTH} or has over {MAX_ELEMENTS:,} elements", line)
        element = Element(tag, line, attributes=attributes)
        if self.open:
            self.open[-1].children.append(element)
        else:
            self.root = element
        self.open.append(element)

    def end(self, tag):
        element = self.open.pop()
        element.text = element.text.strip()

    def characters(self, text):
        element = self.open[-1]
        if not element.children:  # between elements, there is only white space
            element.text += text

    def declaration(self, version, encoding, standalone):
        self.declared = encoding

    def doctype(self, *declared):
        raise XmlError(
            "it declares a document type, which annotations never need and attacks do", self.parser.CurrentLineNumber
        )


def read_xml(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> Element:
    """The root element of a file.

    Args:
        path: of the file.
        max_bytes: larger files are refused.

    Raises:
        XmlError: the file is not XML, declares a document type or entities, or is too large.
        OSError: it cannot be opened.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise XmlError(f"it has {size:,} bytes, and at most {max_bytes:,} are read")
        data = file.read(max_bytes + 1)
    tree = _Tree()
    try:
        tree.parser.Parse(_decoded(data), True)
    except expat.ExpatError as error:
        what = f"it is not XML ({expat.ErrorString(error.code)})"
        raise XmlError(what + _undeclared(data, tree.declared), error.lineno) from None
    except (LookupError, ValueError) as error:  # an encoding that expat does not decode
        if isinstance(error, XmlError):
            raise
        raise _unknown_encoding(data) from None
    return tree.root


def _decoded(data):
    """The text of a file that declares an encoding of several bytes per character; the bytes of any other."""
    declared = _DECLARED.match(data) if encoding_of(data) == "utf-8" else None
    if declared is None:
        return data
    try:
        encoding = _OF_SEVERAL_BYTES.get(codecs.lookup(declared[1].decode("ascii")).name)
        return data if encoding is None else data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise XmlError(
            f"it is not text in the encoding {declared[1].decode()} that it declares. Save it as UTF-8", line
        ) from None
    except (LookupError, ValueError):
        raise _unknown_encoding(data) from None


def _unknown_encoding(data):
    declared = _DECLARED.match(data)
    name = f" {declared[1].decode('ascii', 'replace')}" if declared else ""
    return XmlError(f"it declares the encoding{name}, which is not known. Save it as UTF-8", 1)


def _undeclared(data, declared):
    """A hint for text that is not in XML's default encoding."""
    if declared or encoding_of(data) != "utf-8":
        return ""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return (
            ': it is not UTF-8 text and declares no other, as <?xml encoding="windows-1252"?> would. Save it as UTF-8'
        )
    return ""


def escaped(text: str) -> str:
    """Text for an element, or for an attribute in double quotes."""
    for plain, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(plain, entity)
    return text
