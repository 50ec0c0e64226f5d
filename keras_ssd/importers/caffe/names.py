"""Caffe's layer names as Keras layer names, and back."""

import re

CODE = re.compile(r"\.(?:_([0-9A-F]+)_)?")


def legal_name(name):
    """A name that Keras and its backends take, from which `caffe_name` makes the original again.

    Caffe's names may hold anything, and slashes are common ("conv2_1/dw"). A slash becomes a dot; whatever else is no
    letter, digit, underscore or hyphen becomes its code, as in "._2E_" for a dot. So does an underscore or hyphen in
    front, which TensorFlow does not take there.

    Example:
        >>> legal_name("conv2_1/dw")
        'conv2_1.dw'
    """
    parts = []
    for index, letter in enumerate(name):
        in_front = index == 0 and letter in "_-"
        if letter == "/" and not re.match(r"_[0-9A-F]+_", name[index + 1 :]):
            parts.append(".")
        elif letter.isascii() and (letter.isalnum() or letter in "_-") and not in_front:
            parts.append(letter)
        else:
            parts.append(f"._{ord(letter):X}_")
    return "".join(parts)


def caffe_name(name):
    """The Caffe layer name that `legal_name` made this of."""
    return CODE.sub(lambda match: chr(int(match[1], 16)) if match[1] else "/", name)
