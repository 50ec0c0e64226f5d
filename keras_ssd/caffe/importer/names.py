"""Caffe's layer names as Keras layer names, and back."""

import re

CODED = re.compile(r"--|-_([0-9A-F]+)_")
SHIELD = "at-"


def legal_name(name: str) -> str:
    """A name that Keras accepts on every backend; `caffe_name` turns it back into the original.

    Caffe's names may contain any character, often slashes ("conv2_1/dw"). A slash becomes two hyphens. Any other
    character except letters, digits, underscores and hyphens becomes its code, such as "-_2E_" for a dot, which PyTorch
    does not accept in a weight's name. A hyphen that could be mistaken for one of these becomes its code, too. A name
    that would not start with a letter or digit, which TensorFlow does not accept, gets the prefix "at-".

    Example:
        >>> legal_name("conv2_1/dw")
        'conv2_1--dw'
    """
    parts = []
    for index, letter in enumerate(name):
        around = name[max(index - 1, 0) : index] + name[index + 1 : index + 2]
        if letter == "/":
            parts.append("--")
        elif letter == "-" and all(map(_is_plain, around)) and not re.match(r"_[0-9A-F]+_", name[index + 1 :]):
            parts.append("-")
        elif _is_plain(letter):
            parts.append(letter)
        else:
            parts.append(f"-_{ord(letter):X}_")
    legal = "".join(parts)
    return SHIELD + legal if not legal[:1].isalnum() or legal.startswith(SHIELD) else legal


def _is_plain(letter):
    return letter.isascii() and (letter.isalnum() or letter == "_")


def caffe_name(name: str) -> str:
    """The Caffe layer name from which `legal_name` made this one."""
    return CODED.sub(lambda match: chr(int(match[1], 16)) if match[1] else "/", name.removeprefix(SHIELD))
