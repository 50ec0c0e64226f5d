"""Videos: what is read of them, what is written, and what is said of those that are broken."""

import re
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image
from video_files import RATE, SIZE_HW, image_at, turned, write_sound, write_video

from keras_ssd.images import write_image
from keras_ssd.video import VideoError, VideoWriter, is_video, open_video
from keras_ssd.video.sources.live import LiveReader
from keras_ssd.video.sources.video import Video

av = pytest.importorskip("av")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "squares.mp4")


def red_at(image):
    """The left side of the red square."""
    return int(np.nonzero((np.abs(image[16].astype(int) - (220, 30, 30)) < 60).all(axis=1))[0].min())


def read(source, **options):
    opened = open_video(source, **options)
    return opened, list(opened)


# -- files -------------------------------------------------------------------------------------------


def test_values_frames_with_their_numbers_and_times(video):
    opened, frames = read(str(video))
    assert [frame.number for frame in frames] == list(range(20))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(20) / RATE, atol=1e-6)
    assert (frames[0].image.shape, frames[0].image.dtype) == ((*SIZE_HW, 3), np.uint8)
    for frame in frames:
        assert abs(red_at(frame.image) - (8 + 2 * frame.number)) <= 1
    assert (opened.frames, opened.frame_rate, opened.live, opened.problems) == (20, 10.0, False, [])
    assert len(list(opened)) == 20  # a second loop


def test_values_stride_start_and_end(video):
    opened, frames = read(str(video), stride=3, start=0.5, end=1.5)
    assert [frame.number for frame in frames] == [5, 8, 11, 14]
    assert (opened.frames, opened.frame_rate) == (4, pytest.approx(10 / 3))
    _, frames = read(str(video), start=5)
    assert frames == []


def test_values_a_jump_to_the_start_keeps_the_numbers(tmp_path):
    path = write_video(tmp_path / "long.mp4", frames=30, times=[0.2 * i for i in range(30)])
    _, frames = read(path, start=4.0)
    assert frames[0].number == 20
    assert frames[0].time == pytest.approx(4.0)
    assert len(frames) == 10


def test_values_times_that_vary_are_kept(tmp_path):
    times = [0, 0.04, 0.3, 0.31, 1.0, 2.5]
    _, frames = read(write_video(tmp_path / "varying.mp4", 6, times))
    np.testing.assert_allclose([frame.time for frame in frames], times, atol=1e-3)


def test_values_a_turned_video_is_upright(video, tmp_path):
    (tmp_path / "turned.mp4").write_bytes(turned(video.read_bytes()))
    _, frames = read(tmp_path / "turned.mp4")
    assert frames[0].image.shape == (96, 64, 3)
    straight = read(str(video))[1][3].image
    np.testing.assert_array_equal(frames[3].image, np.rot90(straight, -1))


def test_values_gif(tmp_path):
    path = write_video(tmp_path / "squares.gif", frames=6)
    _, frames = read(path)
    assert len(frames) == 6
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(6) / RATE, atol=0.011)
    np.testing.assert_array_equal(frames[4].image, image_at(4))  # 3 colours are kept as they are


def test_values_folder_of_frames_by_number(tmp_path):
    for number in (0, 2, 10, 1):
        write_image(Image.fromarray(image_at(number)), tmp_path / f"frame_{number}.png")
    (tmp_path / "frame_5.png").write_bytes(b"no image")
    opened, frames = read(str(tmp_path), frame_rate=5)
    assert [red_at(frame.image) for frame in frames] == [8, 10, 12, 28]
    assert [(frame.number, frame.time) for frame in frames] == [(0, 0.0), (1, 0.2), (2, 0.4), (4, 0.8)]
    assert len(opened.problems) == 1
    assert "frame_5.png" in opened.problems[0]
    _, frames = read([str(tmp_path / f"frame_{number}.png") for number in (10, 1)])
    assert [red_at(frame.image) for frame in frames] == [28, 10]


def test_values_names_of_videos():
    for name in ("a.mp4", "A.MKV", "camera:0", "rtsp://host/live", "http://host/a/b.m3u8", "https://host/v.webm?x=1"):
        assert is_video(name), name
    for name in ("a.jpg", "a.gif", "photos", "http://host/a.jpg", "-", "camera:", "http://[bad"):
        assert not is_video(name), name


# -- broken files ------------------------------------------------------------------------------------


def test_values_of_a_file_that_was_cut_the_beginning_is_read(video, tmp_path, caplog):
    data = video.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: int(len(data) * 0.7)])
    opened, frames = read(tmp_path / "cut.mp4")
    assert 2 <= len(frames) < 20
    assert [frame.number for frame in frames] == list(range(len(frames)))
    assert "of 2.00 seconds; the file was cut" in opened.problems[-1]
    assert f"{tmp_path / 'cut.mp4'}: it ends after" in caplog.text


def test_values_a_damaged_frame_is_named_and_the_rest_is_read(tmp_path):
    path = tmp_path / "frames.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=10)
        stream.height, stream.width, stream.pix_fmt = *SIZE_HW, "rgb24"
        for number in range(8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image_at(number), format="rgb24")))
        container.mux(stream.encode())
    data = bytearray(path.read_bytes())
    starts = [place for place in range(len(data)) if data[place : place + 4] == b"\x89PNG"]
    data[starts[3] : starts[3] + 4] = bytes(4)
    path.write_bytes(data)
    opened, frames = read(path)
    assert len(frames) == 7
    assert len(opened.problems) == 1
    assert re.search(r"a frame near 0.\d0 s cannot be decoded and is left out", opened.problems[0])
    assert [red_at(frame.image) for frame in frames] == [8, 10, 12, 16, 18, 20, 22]


def no_index(data):
    return data[:32] + data[-200:]


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("cut.mp4", no_index, "its index is missing, so it was cut"),
        ("empty.mp4", lambda data: b"", "the file is empty"),
        ("text.mp4", lambda data: b"hello " * 50, "it cannot be read as a video"),
    ],
)
def test_rejects_what_is_no_video(video, tmp_path, name, change, said):
    (tmp_path / name).write_bytes(change(video.read_bytes()))
    with pytest.raises(VideoError, match=f"{name}: .*{said}"):
        open_video(tmp_path / name)


def test_rejects_other_sources(video, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere.mp4: there is no such file"):
        open_video("nowhere.mp4")
    with pytest.raises(VideoError, match=r"there is no video in it. It holds: audio"):
        open_video(write_sound(tmp_path / "tone.mp4", av, 1))
    with pytest.raises(VideoError, match="it is an image"):
        open_video("a.jpg")
    with pytest.raises(VideoError, match="the folder holds no image"):
        open_video(str(tmp_path))
    with pytest.raises(TypeError, match="Received: int"):
        open_video(3)
    for options, said in (
        ({"stride": 0}, "stride must be a whole number from 1 on"),
        ({"start": 3, "end": 2}, "start must be 0 or more, and end after it"),
        ({"reconnect": -1}, "reconnect must be"),
        ({"frame_rate": 0}, "frame_rate must be above 0"),
    ):
        with pytest.raises(ValueError, match=said):
            open_video(str(video), **options)


def test_rejects_videos_without_pyav(monkeypatch, video):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"pip install 'keras-ssd\[video\]'"):
        open_video(str(video))


# -- live sources ------------------------------------------------------------------------------------


class Stream:
    """Connections that succeed or fail one after the other; with frames that come every 20 ms."""

    def __init__(self, path, plan):
        self._path, self._plan, self.count = path, list(plan), 0

    def __call__(self):
        self.count += 1
        if not self._plan or not self._plan.pop(0):
            raise OSError("connection refused")
        container = av.open(str(self._path))
        return Paced(container)


class Paced:
    """A container whose frames come at a rate."""

    def __init__(self, container):
        self._container = container
        self.streams = container.streams

    def demux(self, stream):
        for packet in self._container.demux(stream):
            time.sleep(0.02)
            yield packet

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._container.close()


def test_values_a_slow_reader_gets_the_newest_frames(video):
    live = Video("stream", LiveReader("stream", Stream(video, [True]), reconnect=0))
    before, numbers = threading.active_count(), []
    for frame in live:
        numbers.append(frame.number)
        assert abs(red_at(frame.image) - (8 + 2 * frame.number)) <= 1
        time.sleep(0.1)
    assert numbers == sorted(set(numbers))
    assert len(numbers) < 15  # of 20; about every fifth
    assert live.problems == ["the stream ended; given up after 0 new connections"]
    assert threading.active_count() == before


def test_values_a_stream_is_connected_anew_up_to_a_limit(video):
    stream = Stream(video, [True, False, True, False, False, False])
    live = Video("stream", LiveReader("stream", stream, reconnect=2, waits=(0.01,)))
    numbers = [frame.number for frame in live]
    assert numbers[-1] >= 35  # they go on
    assert stream.count == 5
    assert [problem.partition("; ")[2] for problem in live.problems] == [
        "connecting again (1 of 2)",
        "connecting again (2 of 2)",
        "connecting again (1 of 2)",
        "connecting again (2 of 2)",
        "given up after 2 new connections",
    ]
    assert "connection refused" in live.problems[1]


def test_values_leaving_a_stream_ends_its_thread(video):
    live = Video("stream", LiveReader("stream", Stream(video, [True]), reconnect=0))
    before = threading.active_count()
    for _ in live:
        break
    assert threading.active_count() == before


def test_rejects_a_stream_that_is_not_there():
    with pytest.raises(VideoError, match="stream: there is no connection: connection refused"):
        LiveReader("stream", Stream("", []), reconnect=3)
    with pytest.raises(VideoError, match="camera:99: there is no connection"):
        open_video("camera:99")


# -- writing -----------------------------------------------------------------------------------------


def test_values_odd_sides_and_other_sizes_are_written(tmp_path):
    with VideoWriter(tmp_path / "odd.mp4", frame_rate=10) as writer:
        writer.write(image_at(0, (61, 95)), 0)
        writer.write(Image.fromarray(image_at(1)), 0.1)
        assert not (tmp_path / "odd.mp4").exists()
    assert writer.codec == "libx264"
    _, frames = read(tmp_path / "odd.mp4")
    assert [frame.image.shape for frame in frames] == [(62, 96, 3)] * 2


def test_values_sound_is_copied_from_the_first_frame_on(tmp_path):
    source = write_sound(tmp_path / "source.mp4", av, video=True)
    opened = open_video(str(source), start=0.5, end=1.5)
    assert opened.audio == str(source)
    with VideoWriter(tmp_path / "out.mp4", frame_rate=10, audio=opened.audio, origin=opened.origin) as writer:
        for frame in opened:
            writer.write(frame.image, frame.time)
    with av.open(str(tmp_path / "out.mp4")) as container:
        [tone] = container.streams.audio
        packets = [packet for packet in container.demux(tone) if packet.pts is not None]
        assert tone.codec_context.name == "aac"
        assert 0.85 < len(packets) * 1024 / 16000 < 1.15
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) > 12000
    assert len(read(tmp_path / "out.mp4")[1]) == 10


def test_values_sound_that_cannot_be_copied_is_named(tmp_path, caplog):
    source = write_sound(tmp_path / "source.mkv", av, 1, codec="pcm_s16le", video=True)
    write_video(tmp_path / "out.mp4", frames=5, audio=str(source))
    assert "out.mp4: sound in pcm_s16le cannot be copied into an mp4 file and is left out" in caplog.text
    assert len(read(tmp_path / "out.mp4")[1]) == 5


def test_values_without_h264_it_is_mpeg4(tmp_path, monkeypatch):
    from keras_ssd.video.writing import writer

    monkeypatch.setattr(writer, "_ENCODERS", ("nothing", "mpeg4"))
    times = [0, 0.1, 0.15, 0.4]
    _, frames = read(write_video(tmp_path / "a.mp4", 4, times))
    np.testing.assert_allclose([frame.time for frame in frames], times, atol=1e-3)
    monkeypatch.setattr(writer, "_ENCODERS", ("nothing",))
    with pytest.raises(VideoError, match="writes neither H.264 nor MPEG-4"):
        write_video(tmp_path / "b.mp4", 1)


def test_rejects_what_cannot_be_written(tmp_path):
    with pytest.raises(VideoError, match="videos are written as .mp4 or .gif. Received: .avi"):
        VideoWriter(tmp_path / "a.avi", frame_rate=10)
    with pytest.raises(VideoError, match="there is no frame to write"):
        VideoWriter(tmp_path / "a.mp4", frame_rate=10).close()
    writer = VideoWriter(tmp_path / "a.mp4", frame_rate=10)
    writer.write(image_at(0), 0)
    with pytest.raises(ValueError, match="could not convert"), writer:
        writer.write(image_at(1), float("x"))
    assert not list(tmp_path.iterdir())
