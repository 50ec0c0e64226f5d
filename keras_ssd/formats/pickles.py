"""Reads a pickle as plain data: nothing that it names is imported or called.

Python's own unpickler imports and calls what a file names, so a weight file can run code. Here the opcodes work only on
lists, dictionaries, text and numbers. Names in the file are looked up in a table that the caller gives. A name that is
not in the table ends the reading with an error.

`pickle.Unpickler` with its own `find_class` would keep code from running, but not the rest: its memo grows to any index
that the file writes (gigabytes from twenty bytes), and it hashes any key, which takes 2^n steps for n nested tuples.
"""

import pickletools
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, cast

MAX_BYTES = 1 << 25  # a detector's state dict takes about 100 kB beside its tensors
MAX_OPCODES = 1_000_000

SCALARS = (str, bytes, int, float, bool, type(None))


class PickleError(ValueError):
    """A pickle that is damaged or holds more than plain data."""


class Opaque:
    """A harmless object that is not needed, such as parsed arguments; its content is dropped."""


def load(stream: Any, names: Mapping[tuple[str, str], Any], persistent: Callable[[Any], Any] | None = None) -> Any:
    """The value of a pickle. Afterwards the stream is at the first byte after it.

    Args:
        stream: binary stream at the first byte of the pickle.
        names: {(module, name): replacement}. If the pickle calls a name, the replacement must be a function of this
            package, which gets the tuple of arguments.
        persistent: function of this package that turns persistent ids into values.

    Returns:
        None, text, bytes, numbers, tuples, lists, dictionaries (of keys without parts), and what the given functions
        return. Parts may be shared or contain themselves.

    Raises:
        PickleError: the pickle is damaged, too large, or holds other objects.
    """
    machine = _Machine(names, persistent)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(cast(IO[bytes], _Bounded(stream)))):
            if count >= MAX_OPCODES:
                raise PickleError(f"its pickle has more than {MAX_OPCODES:,} instructions, as no weight file needs")
            machine.do(opcode.name, argument)
    except PickleError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, MemoryError, EOFError) as error:
        raise PickleError(f"its pickle is damaged: {str(error)[:200]}") from error
    return machine.result()


class _Bounded:
    """A stream of which at most `MAX_BYTES` are read."""

    def __init__(self, stream):
        self._stream = stream
        self._left = MAX_BYTES

    def _spend(self, data):
        self._left -= len(data)
        if self._left < 0:
            raise PickleError(f"its pickle is longer than {MAX_BYTES:,} bytes, as no weight file needs")
        return data

    def read(self, size):
        return self._spend(self._stream.read(min(size, self._left + 1)))

    def readline(self):
        return self._spend(self._stream.readline(self._left + 1))


class _Machine:
    """The stack machine that pickle opcodes are written for, reduced to data."""

    def __init__(self, names, persistent):
        self._names, self._persistent = names, persistent
        self._stack, self._marks, self._memo = [], [], {}

    def result(self):
        if len(self._stack) != 1 or self._marks:
            raise PickleError("its pickle is damaged: it leaves no single value")
        return self._stack[0]

    def do(self, name, argument):
        if name in _PUSHED:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name]())
        elif name in _MEMO_WRITES:
            self._memo[len(self._memo) if argument is None else argument] = self._stack[-1]
        elif name in _MEMO_READS:
            self._stack.append(self._memo[argument])
        elif name in _ACTIONS:
            _ACTIONS[name](self, argument)
        elif name not in _NOTHING:
            raise PickleError(f"its pickle has the instruction {name}, which builds objects, and only tensors are read")

    def _pop(self, count):
        if len(self._stack) - (self._marks[-1] if self._marks else 0) < count:
            raise PickleError("its pickle is damaged: it takes more than there is")
        taken = self._stack[len(self._stack) - count :]
        del self._stack[len(self._stack) - count :]
        return taken

    def _pop_to_mark(self):
        start = self._marks.pop()
        taken = self._stack[start:]
        del self._stack[start:]
        return taken

    def _container(self, kind):
        if not self._stack or not isinstance(self._stack[-1], kind):
            raise PickleError(f"its pickle is damaged: it fills what is no {kind.__name__}")
        return self._stack[-1]

    def _mark(self, _):
        self._marks.append(len(self._stack))

    def _tuple(self, _):
        self._stack.append(tuple(self._pop_to_mark()))

    def _list(self, _):
        self._stack.append(self._pop_to_mark())

    def _dict(self, _):
        self._stack.append(filled({}, self._pop_to_mark()))

    def _append(self, _):
        [value] = self._pop(1)
        self._container(list).append(value)

    def _appends(self, _):
        values = self._pop_to_mark()
        self._container(list).extend(values)

    def _setitem(self, _):
        pair = self._pop(2)
        filled(self._container(dict), pair)

    def _setitems(self, _):
        pairs = self._pop_to_mark()
        filled(self._container(dict), pairs)

    def _named(self, argument):
        module, _, name = argument.partition(" ")
        self._stack.append(self._lookup(module, name))

    def _stack_named(self, _):
        self._stack.append(self._lookup(*self._pop(2)))

    def _lookup(self, module, name):
        if not (isinstance(module, str) and isinstance(name, str) and (module, name) in self._names):
            shown = f"{module}.{name}"[:200]
            raise PickleError(
                f"it holds an object of {shown!r}. Reading such objects can run code, so nothing but tensors in plain "
                "containers is read"
            )
        return self._names[module, name]

    def _call(self, _):
        function, arguments = self._pop(2)
        if not callable(function) or not isinstance(arguments, tuple):
            raise PickleError("its pickle is damaged: it calls something that is not a function")
        self._stack.append(function(arguments))

    def _build(self, _):
        """The attributes of an object, such as the `_metadata` of a state dict: of no use here."""
        self._pop(1)
        if not self._stack or not isinstance(self._stack[-1], (dict, Opaque)):
            raise PickleError("its pickle is damaged: it sets attributes of what has none")

    def _persist(self, _):
        if self._persistent is None:
            raise PickleError("its pickle is damaged: it refers to data outside")
        self._stack.append(self._persistent(*self._pop(1)))


def filled(target: dict[Any, Any], pairs: Sequence[Any]) -> dict[Any, Any]:
    """The dictionary `target` with [key, value, key, value, ...] added."""
    if len(pairs) % 2:
        raise PickleError("its pickle is damaged: a key has no value")
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        if not isinstance(key, SCALARS):  # hashing nested tuples can take for ever
            raise PickleError(f"its pickle has a dictionary with a key of type {type(key).__name__}")
        target[key] = value
    return target


_PUSHED = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
}
_CONSTANTS = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}
_MEMO_WRITES = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_MEMO_READS = {"GET", "BINGET", "LONG_BINGET"}
_NOTHING = {"PROTO", "FRAME", "STOP"}
_ACTIONS = {
    "MARK": _Machine._mark,
    "TUPLE": _Machine._tuple,
    "TUPLE1": lambda machine, _: machine._stack.append(tuple(machine._pop(1))),
    "TUPLE2": lambda machine, _: machine._stack.append(tuple(machine._pop(2))),
    "TUPLE3": lambda machine, _: machine._stack.append(tuple(machine._pop(3))),
    "LIST": _Machine._list,
    "DICT": _Machine._dict,
    "APPEND": _Machine._append,
    "APPENDS": _Machine._appends,
    "SETITEM": _Machine._setitem,
    "SETITEMS": _Machine._setitems,
    "POP": lambda machine, _: machine._pop(1),
    "POP_MARK": lambda machine, _: machine._pop_to_mark(),
    "DUP": lambda machine, _: machine._stack.append(machine._stack[-1]),
    "GLOBAL": _Machine._named,
    "STACK_GLOBAL": _Machine._stack_named,
    "REDUCE": _Machine._call,
    "NEWOBJ": _Machine._call,
    "BUILD": _Machine._build,
    "BINPERSID": _Machine._persist,
}
