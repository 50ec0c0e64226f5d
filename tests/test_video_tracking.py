"""Tracking in videos, in Python and in the shell: what comes out, and what is drawn and written."""

import json
import logging
import sys
import threading
import types

import numpy as np
import pytest
import video_files
from PIL import Image
from video_files import NAMES, SIZE_HW, image_at, write_video

from keras_ssd.cli import main
from keras_ssd.detections import Detections
from keras_ssd.reading_ahead import read_ahead
from keras_ssd.tracking import ByteTrack, CountLine, CountZone, read_mot
from keras_ssd.video import TrackDrawing, VideoError, open_video
from keras_ssd.video.detecting import track, tracker_for
from keras_ssd.video.drawing import track_colour
from keras_ssd.video.sources.video import Frame
from keras_ssd.video.window import Window

pytest.importorskip("av")


@pytest.fixture
def network(monkeypatch):
    return video_files.replace_network(monkeypatch)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "squares.mp4")


# -- in Python ---------------------------------------------------------------------------------------


def test_values_each_frame_has_its_tracks(network, video):
    found = list(track(object(), str(video)))
    assert [one.frame for one in found] == list(range(20))
    np.testing.assert_allclose([one.time for one in found], np.arange(20) / 10, atol=1e-6)
    assert [one.track_ids.tolist() for one in found] == [[]] + [[1, 2]] * 19
    assert {one.names for one in found[1:]} == {("red", "green")}
    np.testing.assert_allclose(found[5].boxes_xyxy[0], [18, 8, 34, 24], atol=1.5)
    assert found[5].image.shape == (*SIZE_HW, 3)
    assert found[5].source == str(video)
    assert network.batches == [8, 8, 4]
    assert threading.active_count() == 1 or not [t for t in threading.enumerate() if t.name.startswith("keras_ssd-ah")]


def test_values_options_of_tracking(network, video):
    found = list(track(object(), str(video), classes=["green"], stride=2, start=0.2, batch_size=3))
    assert [one.frame for one in found] == list(range(2, 20, 2))
    assert {one.names for one in found[1:]} == {("green",)}
    found = list(track(object(), str(video), tracker=ByteTrack(minimum_consecutive_frames=5)))
    assert [len(one) for one in found] == [0] * 4 + [2] * 16
    # Low scores continue tracks and begin none.
    network.scores = (0.9, 0.3)
    assert {one.names for one in track(object(), str(video))} == {(), ("red",)}


def test_values_the_tracker_of_a_confidence():
    tracker = tracker_for(0.5, 25.0, per_class=True)
    assert (tracker.high_conf_det_threshold, tracker.track_activation_threshold) == (0.5, 0.6)
    assert (tracker.frame_rate, tracker.per_class) == (25.0, True)
    assert tracker_for(0.98, 25.0).track_activation_threshold == pytest.approx(0.99)


def test_values_leaving_the_loop_ends_the_threads(network, video):
    before = threading.active_count()
    for _ in track(object(), str(video)):
        break
    assert threading.active_count() == before


class Endless:
    """A camera that gives frames as fast as they are taken."""

    live, frame_rate, name, problems, audio, origin, frames = True, 10.0, "camera", [], None, 0.0, None

    def __iter__(self):
        self.taken = 0
        while True:
            yield Frame(image_at(self.taken % 20), self.taken, self.taken / 10)
            self.taken += 1


def test_values_live_frames_are_computed_one_by_one_when_they_come(network):
    from keras_ssd.detecting import make_detecting
    from keras_ssd.video.detecting import detect_frames

    camera = Endless()
    found = detect_frames(make_detecting(None, None, None, 8), camera)
    for number in range(5):
        assert next(found).frame == number
        assert camera.taken == number  # nothing is taken ahead
    found.close()
    assert network.batches == [1] * 5


def test_values_reading_ahead_is_bounded_and_ends():
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    ahead = read_ahead(items(), 3)
    assert [next(ahead) for _ in range(5)] == [0, 1, 2, 3, 4]
    ahead.close()
    assert len(taken) <= 10
    assert list(read_ahead(range(7), 2)) == list(range(7))

    def fails():
        yield 1
        raise ValueError("no more")

    ahead = read_ahead(fails(), 2)
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="no more"):
        next(ahead)


# -- drawing -----------------------------------------------------------------------------------------


def test_values_a_track_keeps_its_colour_and_its_way():
    drawing = TrackDrawing(trace=0.25, labels=False)
    for frame in range(4):
        boxes = [[10 + 5 * frame, 10, 30 + 5 * frame, 30]]
        image = np.full((*SIZE_HW, 3), 90, np.uint8)
        found = Detections(
            boxes, [0.9], [frame % 2], NAMES, SIZE_HW, None, image, track_ids=[7], frame=frame, time=frame / 10
        )
        prepared = drawing.prepare(found)
        drawn = np.asarray(drawing.draw(prepared))
        colour = tuple(int(track_colour(7)[i : i + 2], 16) for i in (1, 3, 5))
        assert tuple(drawn[20, 10 + 5 * frame]) == colour  # the left side of the box
    assert prepared.ways == [(7, [(25.0, 20.0), (30.0, 20.0), (35.0, 20.0)])]  # the last quarter of a second
    assert tuple(drawn[20, 28]) == colour
    assert len({track_colour(number) for number in range(1, 22)}) == 21
    assert track_colour(1) == track_colour(22)


def test_values_lines_and_zones_are_drawn_with_their_counts():
    line, zone = CountLine((0, 100), (200, 100)), CountZone([(20, 20), (80, 20), (50, 80)])
    drawing = TrackDrawing(lines=[line], zones=[zone])
    image = np.zeros((150, 200, 3), np.uint8)
    found = Detections.empty(NAMES, (150, 200), None, image)
    prepared = drawing.prepare(found)
    assert (prepared.lines[0][2], prepared.zones[0][1]) == ("0 left, 0 right", "0 now, 0 in all")
    drawn = np.asarray(drawing.draw(prepared))
    assert drawn[100, 5].tolist() == [255, 255, 255]
    assert drawn[20, 60].tolist() == [255, 255, 255]
    assert not image.any()


# -- the command -------------------------------------------------------------------------------------


def run(*arguments):
    return main(["detect", *map(str, arguments), "--weights", "some"])


@pytest.mark.usefixtures("network")
def test_values_the_command_writes_a_video_and_a_line_per_frame(video, tmp_path, capsys):
    out = tmp_path / "found"
    line, zone = ("--count-line", "48,0,48,64"), ("--zone", "0,30,96,30,96,64,0,64")
    assert run(video, "--out", out, "--track", *line, *zone) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{video}: 20 frames, 38 boxes, 2 tracks: {out}",
        "  line 1: 1 to the left, 1 to the right",
        "  zone 1: 1 objects in all",
    ]
    assert sorted(path.name for path in out.iterdir()) == ["squares.jsonl", "squares.mp4"]
    lines = [json.loads(line) for line in (out / "squares.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(20))
    assert lines[-1]["lines"] == [{"left": 1, "right": 1}]
    assert lines[-1]["zones"] == [{"now": 1, "total": 1}]
    assert Detections.from_dict(lines[7]).track_ids.tolist() == [1, 2]
    frames = list(open_video(out / "squares.mp4"))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(20) / 10, atol=1e-3)
    assert np.abs(frames[5].image.astype(int) - image_at(5)).max() > 100  # boxes are drawn


@pytest.mark.usefixtures("network")
def test_values_other_formats_and_a_folder_of_frames(tmp_path, capsys):
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(6):
        Image.fromarray(image_at(number)).save(frames / f"{number}.png")
    out = tmp_path / "found"
    assert run(frames, "--out", out, "--track", "--frame-rate", "5", "--format", "mot,gif,jsonl") == 0
    assert sorted(path.name for path in out.iterdir()) == ["frames.gif", "frames.jsonl", "frames.txt"]
    assert [one.track_ids.tolist() for one in read_mot(out / "frames.txt")] == [[]] + [[1, 2]] * 5
    assert len(list(open_video(out / "frames.gif"))) == 6
    assert json.loads((out / "frames.jsonl").read_text().splitlines()[5])["time"] == 1.0
    capsys.readouterr()


@pytest.mark.usefixtures("network")
def test_values_without_a_folder_a_table_per_frame(video, capsys):
    assert run(video, "--end", "0.25", "--track") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{video}, frame 0, 0.00 s (96 x 64): nothing found"
    assert lines[1] == f"{video}, frame 1, 0.10 s (96 x 64): 2 found"
    assert lines[2].split() == ["track", "class", "score", "xmin", "ymin", "xmax", "ymax"]
    assert lines[3].split()[:3] == ["1", "red", "0.90"]
    assert run(video, "--end", "0.25") == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{video}, frame 0, 0.00 s (96 x 64): 2 found"


@pytest.mark.usefixtures("network")
def test_values_what_is_broken_is_named_and_the_rest_is_done(video, tmp_path, capsys):
    data = video.read_bytes()
    cut, junk = tmp_path / "cut.mp4", tmp_path / "junk.mp4"
    cut.write_bytes(data[: int(len(data) * 0.7)])
    junk.write_bytes(b"junk" * 100)
    out = tmp_path / "found"
    assert run(junk, cut, "--out", out) == 1
    err = capsys.readouterr().err
    assert f"{junk}: it cannot be read as a video" in err
    assert f"{cut}: it ends after" in err
    assert "Error" not in err
    lines = (out / "cut.jsonl").read_text().splitlines()
    assert 2 <= len(lines) == len(list(open_video(out / "cut.mp4"))) < 20
    assert run(junk, "--out", tmp_path / "none") == 2
    assert not (tmp_path / "none").exists()


@pytest.mark.usefixtures("network")
def test_values_an_interrupted_command_keeps_what_is_done(video, tmp_path, monkeypatch, capsys):
    from keras_ssd.cli import video_results

    class Interrupted(video_results.JsonLines):
        def add(self, found, drawn, counts):
            super().add(found, drawn, counts)
            if found.frame == 9:
                raise KeyboardInterrupt

    monkeypatch.setitem(video_results.RESULTS, "jsonl", Interrupted)
    assert run(video, "--out", tmp_path / "found") == 130
    assert "interrupted after 9 frames; what was found so far is kept" in capsys.readouterr().err
    assert len(list(open_video(tmp_path / "found" / "squares.mp4"))) == 10
    assert len((tmp_path / "found" / "squares.jsonl").read_text().splitlines()) == 10


@pytest.mark.usefixtures("network")
def test_values_no_input_is_overwritten(tmp_path, capsys):
    write_video(tmp_path / "a.mp4", 3)
    before = (tmp_path / "a.mp4").read_bytes()
    assert run(tmp_path / "a.mp4", "--out", tmp_path, "--format", "video") == 0
    assert (tmp_path / "a.mp4").read_bytes() == before
    assert (tmp_path / "a_2.mp4").exists()
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["V", "a.jpg"], "V is a video, and a.jpg is none. Give them to two commands."),
        (["a.jpg", "--track"], "--track is for videos"),
        (["V", "--out", "x", "--format", "csv"], "--format csv is not for videos. For these there are video, jsonl"),
        (["a.jpg", "--out", "x", "--format", "gif"], "--format gif is not for images"),
        (["V", "--out", "x", "--format", "mot"], "--format mot is a list of tracks. Add --track."),
        (["V", "--per-class"], "--per-class says how objects are followed. Add --track."),
        (["V", "--start", "3", "--end", "2"], "start must be 0 or more, and end after it"),
    ],
)
@pytest.mark.usefixtures("network")
def test_rejects_options_that_do_not_suit(video, arguments, said, capsys):
    arguments = [str(video) if word == "V" else word for word in arguments]
    assert run(*arguments) == 2
    assert said.replace("V", str(video)) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--count-line", "1,2,1,2", "two different points in pixels"),
        ("--count-line", "1,2", "expected x1,y1,x2,y2"),
        ("--zone", "1,2,3,4", "three points or more"),
        ("--start", "x", "expected seconds, or minutes:seconds"),
        ("--trace", "-1", "expected a number from 0 on"),
        ("--reconnect", "-1", "expected a whole number from 0 on"),
        ("--overlap", "0.95", "expected a number in 0..0.9"),
    ],
)
def test_rejects_values_of_options(option, value, said, capsys):
    with pytest.raises(SystemExit):
        run("a.mp4", f"{option}={value}")
    assert said in capsys.readouterr().err


def test_values_moments():
    from keras_ssd.cli.arguments import moment

    assert [moment(text) for text in ("90", "1:30", "1:00:01.5")] == [90, 90, 3601.5]


# -- the window --------------------------------------------------------------------------------------


def fake_tk(monkeypatch, fails=False):
    """A module that stands for tkinter; returns what its windows were asked for."""
    calls = []

    class TclError(Exception):
        pass

    class Widget:
        def __init__(self, *args, **options):
            if fails:
                raise TclError("no display name and no $DISPLAY environment variable")

        def __getattr__(self, name):
            return lambda *args, **options: calls.append((name, args)) or 1000

    module = types.SimpleNamespace(Tk=Widget, Label=Widget, TclError=TclError)
    monkeypatch.setitem(sys.modules, "tkinter", module)
    from PIL import ImageTk

    monkeypatch.setattr(ImageTk, "PhotoImage", lambda image, master: image.size)
    return calls


def test_values_a_window_shows_frames_until_it_is_closed(monkeypatch, video, network, capsys):
    pytest.importorskip("PIL.ImageTk")
    calls = fake_tk(monkeypatch)
    assert run(video, "--show", "--track") == 0
    assert sum(name == "update" for name, _ in calls) == 20
    assert calls[-1][0] == "destroy"
    window = Window("title")
    [close] = [args[1] for name, args in calls if name == "protocol"][-1:]
    close()
    assert window.closed
    capsys.readouterr()


def test_rejects_a_window_without_a_display(monkeypatch, video, network, capsys):
    fake_tk(monkeypatch, fails=True)
    assert run(video, "--show") == 2
    err = capsys.readouterr().err
    assert "there is no display for a window" in err
    assert "Leave --show out, and write a video with --out DIR." in err
    monkeypatch.setitem(sys.modules, "tkinter", None)
    with pytest.raises(VideoError, match="needs tkinter"):
        Window("title")


def test_values_many_problems_are_counted(caplog):
    from keras_ssd.video.sources.video import Video

    class Reader:
        frame_rate, frames, live, audio, origin = 10.0, None, False, None, 0.0

        def read(self, start, told):
            for number in range(9):
                told(f"problem {number}")
            yield from ()

    with caplog.at_level(logging.WARNING):
        assert list(Video("a.mp4", Reader())) == []
    assert [record.getMessage() for record in caplog.records][4:] == ["a.mp4: problem 4", "a.mp4: 9 problems in all"]
