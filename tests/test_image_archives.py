"""Zip archives of images as sources."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from keras_ssd.images import ImageError, expand_sources, read_image


def png(value):
    file = io.BytesIO()
    Image.fromarray(np.full((4, 6, 3), value, np.uint8)).save(file, "png")
    return file.getvalue()


@pytest.fixture
def archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as file:
        file.writestr("b.png", png(2))
        file.writestr("in/a.png", png(1))
        file.writestr("in/notes.txt", "no image")
        file.writestr("in/broken.png", b"no image")
        file.writestr("__MACOSX/b.png", b"")
        file.writestr("in/.hidden.png", png(3))
        file.writestr("../outside.png", png(4))
    return tmp_path / "photos.zip"


def test_values_images_of_an_archive_by_name(archive):
    sources = list(expand_sources(archive))
    assert [source.name for source in sources] == [
        f"{archive}/{name}" for name in ("../outside.png", "b.png", "in/a.png", "in/broken.png")
    ]
    assert [source.relative for source in sources][1:3] == ["b.png", "in/a.png"]
    assert read_image(sources[1].image)[0, 0, 0] == 2
    assert read_image(sources[2].image)[0, 0, 0] == 1
    assert read_image(sources[2].image).shape == (4, 6, 3)  # again
    with pytest.raises(ImageError, match=r"in/broken.png"):
        read_image(sources[3].image, name=sources[3].name)


def test_rejects_archives_without_images(archive, tmp_path):
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as file:
        file.writestr("notes.txt", "no image")
    with pytest.raises(ImageError, match=r"empty.zip: the archive holds no image; it holds 1 other files"):
        list(expand_sources(tmp_path / "empty.zip"))
    (tmp_path / "bad.zip").write_bytes(archive.read_bytes()[:100])
    with pytest.raises(ImageError, match=r"bad.zip: the archive cannot be read"):
        list(expand_sources(tmp_path / "bad.zip"))
    data = archive.read_bytes()
    (tmp_path / "damaged.zip").write_bytes(data.replace(png(2), png(2)[:-9] + b"damagedxx"))
    damaged = list(expand_sources(tmp_path / "damaged.zip"))[1]
    with pytest.raises(ImageError, match="the file cannot be read"):
        read_image(damaged.image)
