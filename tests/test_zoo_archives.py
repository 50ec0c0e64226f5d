"""Weights inside archives, hostile ones among them."""

import hashlib
import io
import tarfile
import zipfile
from dataclasses import replace

import pytest
from download_server import Reply
from downloading import BODY, FAST, fails, get, left, source

from keras_ssd.zoo import archives, cache
from keras_ssd.zoo.errors import IntegrityError

pytest_plugins = ("downloading",)
pytestmark = pytest.mark.usefixtures("home")


def tar_bytes(*members, mode="w:gz"):
    """A tar archive of (name, bytes) pairs or ready TarInfo objects."""
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode=mode) as file:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                file.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            file.addfile(info, io.BytesIO(member[1]))
    return memory.getvalue()


def zip_bytes(*members):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            file.writestr(name, data)
    return memory.getvalue()


def packed(server, body, **more):
    return source(server.play("/all.tar.gz", Reply(body)), archive="all.tar.gz", **more)


@pytest.mark.parametrize("pack", [tar_bytes, zip_bytes, lambda *members: tar_bytes(*members, mode="w")])
def test_values_member_of_an_archive(server, pack):
    body = pack(("models/deploy.prototxt", b"name: x"), ("models/VGG/w.h5", BODY))
    checksum = "sha384:" + hashlib.sha384(body).hexdigest()
    path = get(packed(server, body, size=len(body), checksum=checksum))
    assert path.read_bytes() == BODY
    assert left() == ["w.h5"]
    assert not list(path.parent.glob("all*"))  # the archive itself is not kept
    assert not list(path.parent.glob("*.unpacked"))


def link_to(name, target, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (tar_bytes(("../../w.h5", BODY)), "not to be trusted"),
        (tar_bytes(("/etc/w.h5", BODY)), "not to be trusted"),
        (zip_bytes(("a/../../w.h5", BODY)), "not to be trusted"),
        (zip_bytes(("C:/w.h5", BODY)), "not to be trusted"),
        (tar_bytes(link_to("w.h5", "/etc/passwd", tarfile.SYMTYPE)), "a link"),
        (tar_bytes(link_to("w.h5", "/etc/passwd", tarfile.LNKTYPE)), "a link"),
        (tar_bytes(link_to("w.h5", "", tarfile.CHRTYPE)), "a link or a device"),
        (tar_bytes(("a/w.h5", BODY), ("b/w.h5", BODY)), "2 files called"),
        (tar_bytes(("a/v.h5", BODY)), "0 files called 'w.h5'"),
        (tar_bytes(("w.h5", BODY))[:-4000], "damaged"),
        (b"no archive at all", "damaged or no archive"),
        (zip_bytes(("w.h5", BODY))[:-10], "damaged or no archive"),
        (tar_bytes(("w.h5", b"<html>")), "web page"),
    ],
    # An archive's bytes hold the time, and processes that share the work must call a test by one name.
    ids=[
        *("up-tar", "absolute-tar", "up-zip", "absolute-zip", "symbolic-link", "hard-link", "device", "two-files"),
        *("another-file", "cut-tar", "no-archive", "cut-zip", "web-page"),
    ],
)
def test_rejects_hostile_archives(server, tmp_path, body, reason):
    before = sorted(tmp_path.parent.glob("*"))
    assert reason in fails(packed(server, body))
    assert sorted(tmp_path.parent.glob("*")) == before
    leftovers = {p.suffix for p in cache.cache_folder().iterdir()}
    assert leftovers <= {".lock"}


@pytest.mark.parametrize("pack", [tar_bytes, zip_bytes])
def test_rejects_archive_bombs(server, pack):
    small = replace(FAST, max_unpacked=100_000)
    inside = packed(server, pack(("w.h5", bytes(10_000_000))))
    assert "more than is allowed" in fails(inside, policy=small)


def test_rejects_tar_bomb_in_another_member(tmp_path):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(tar_bytes(("filler", bytes(10_000_000)), ("w.h5", BODY)))
    with pytest.raises(IntegrityError, match="more than is allowed"):
        archives.extract(path, "w.h5", tmp_path / "w.h5", 1_000_000)
    assert not (tmp_path / "w.h5").exists()


def test_values_member_by_its_whole_path(tmp_path):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(tar_bytes(("a/w.h5", b"one"), ("b/w.h5", b"two")))
    archives.extract(path, "b/w.h5", tmp_path / "w.h5", 1_000_000)
    assert (tmp_path / "w.h5").read_bytes() == b"two"
