"""Gives damaged image files to the reader: none may crash it or make it hang, and each must be read or refused by name.

    python benchmarks/image_fuzz.py --count 3000

Small images of six kinds are cut, flipped, filled, joined and given other bytes, with a seed. Each file goes through
`read_image`, `check_image` and, in one folder, `detect`. It prints how many were read and refused, the slowest, and
the most memory.
"""

import argparse
import io
import resource
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from keras_ssd.images import ImageError, check_image, read_image

FORMS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")


def originals(rng):
    """{kind: bytes of some good files}."""
    noise = Image.fromarray(np.kron(rng.integers(0, 256, (6, 8, 3), np.uint8), np.ones((8, 8, 1), np.uint8)))
    found = {form: [] for form in FORMS}
    for form in FORMS:
        for mode, options in (("RGB", {}), ("L", {}), ("RGB", {"save_all": True, "append_images": [noise]})):
            if options and form in ("JPEG", "BMP"):
                options = {"progressive": True} if form == "JPEG" else {}
            file = io.BytesIO()
            noise.convert(mode).save(file, form, **options)
            found[form].append(file.getvalue())
    file = io.BytesIO()
    noise.save(file, "TIFF", compression="tiff_lzw")
    found["TIFF"].append(file.getvalue())
    return found


def mutated(data, rng):
    """The bytes, damaged in one of six ways."""
    damaged = bytearray(data)
    way, place = rng.integers(6), int(rng.integers(len(data)))
    if way == 0:
        return bytes(damaged[:place])
    if way == 1:  # some bits
        for at in rng.integers(0, len(data), rng.integers(1, 9)):
            damaged[at] ^= 1 << int(rng.integers(8))
    elif way == 2:  # extreme numbers in the head
        at = int(rng.integers(min(len(data), 64)))
        damaged[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\1\0\0"])
    elif way == 3:  # a part twice
        damaged[place:place] = damaged[max(0, place - 40) : place]
    elif way == 4:  # a part gone
        del damaged[place : place + int(rng.integers(1, 60))]
    else:
        damaged[place : place + 16] = rng.bytes(16)
    return bytes(damaged)


def write_files(folder, count, seed=0):
    """Writes damaged files of all kinds in turn.

    Returns:
        Their paths.
    """
    rng = np.random.default_rng(seed)
    good = originals(rng)
    paths = []
    for number in range(count):
        form = FORMS[number % len(FORMS)]
        path = Path(folder) / f"{number:06}.{form.lower()}"
        path.write_bytes(mutated(good[form][int(rng.integers(len(good[form])))], rng))
        paths.append(path)
    return paths


def outcome(path):
    """(shape or None, seconds): what the reader makes of a file; both readers must agree.

    Raises:
        AssertionError: one of them reads what the other refuses, or tells another size.
    """
    begun = time.perf_counter()
    try:
        shape = read_image(path).shape
    except ImageError as error:
        named = str(path) in str(error)
        shape = None if named else "not named"
    seconds = time.perf_counter() - begun
    try:
        size = check_image(path)
    except ImageError:
        size = None
    assert size == (None if shape is None else shape[:2]), f"{path}: {shape} is read and {size} checked"
    return shape, seconds


def detected(folder, count):
    """(images that `detect` tells of, images that it names as unreadable) of a folder."""
    import keras

    import keras_ssd

    keras.utils.set_random_seed(0)
    model = keras_ssd.ssd7(classes=["a", "b"], input_size=(96, 128))
    failed = []
    found = [one.source for one in model.detect(str(folder), on_error=failed.append)]
    names = {*found, *(error.source for error in failed)}
    assert len(names) == len(found) + len(failed) == count, "an image is neither read nor named"
    return len(found), len(failed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # Pillow's own, of what is then refused
    with tempfile.TemporaryDirectory() as folder:
        paths = write_files(folder, args.count, args.seed)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        outcomes = [outcome(path) for path in paths]
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        read = sum(shape is not None for shape, _ in outcomes)
        slowest = max(seconds for _, seconds in outcomes)
        print(f"reader: {read} read, {len(paths) - read} refused by name; slowest {slowest * 1000:.0f} ms")
        print(f"memory: {before / 1024:.0f} MiB before, at most {after / 1024:.0f} MiB")
        told, named = detected(folder, len(paths))
        print(f"detect: {told} told, {named} named")


if __name__ == "__main__":
    main()
