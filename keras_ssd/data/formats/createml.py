"""Apple's Create ML: a json list of images, each box by its centre and size in pixels.

Source of the format: developer.apple.com, "Building an object detector data source".
"""

from keras_ssd.data.formats.json_files import JsonFormat, Named, file_of, listed_of, table_of
from keras_ssd.data.formats.kinds import CREATEML
from keras_ssd.data.records import CENTRE_BOXES, finite


def _images(data, path):
    for entry in listed_of(data, "a file of Create ML"):
        entry = table_of(entry, "an image")
        regions = entry.get("annotations", entry.get("annotation", []))
        yield Named(file_of(entry.get("image", entry.get("imagefilename"))), listed_of(regions, "annotations"))


def _region(region):
    region = table_of(region, "an annotation")
    coordinates = table_of(region.get("coordinates"), "coordinates")
    label = region.get("label")
    raw = [finite(coordinates.get(key), key) for key in ("x", "y", "width", "height")]
    return label if isinstance(label, str) else None, raw, {}


FORMAT: JsonFormat = JsonFormat(CREATEML, CENTRE_BOXES, _images, _region)
