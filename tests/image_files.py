"""Image files, and what is said of those that cannot be read, for tests of reading images."""

import pytest

from keras_ssd.images import ImageError, read_image


def saved(path, image, **options):
    image.save(path, **options)
    return path


def refusal(source, **options):
    with pytest.raises(ImageError) as caught:
        read_image(source, **options)
    return str(caught.value)
