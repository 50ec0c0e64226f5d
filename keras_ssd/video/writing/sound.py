"""Copies the sound of a video into another, without decoding it."""

from typing import Any

from keras_ssd.video.errors import load_av

COPIED = frozenset(["aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"])  # that players take out of mp4 files


class Sound:
    """The sound of a file, packet by packet, for the time that a written video covers.

    Args:
        path: of the file, or its URL.
        target: PyAV's container that is written; gets the streams.
        begin: seconds on the file's clock that are time 0 of the target.

    Attributes:
        left_out: names of codecs that cannot be copied.
    """

    def __init__(self, path: str, target: Any, begin: float) -> None:
        self._source, self._target, self._begin = load_av().open(path), target, begin
        streams = [*self._source.streams.audio]
        self.left_out: list[str] = sorted({one.codec_context.name for one in streams} - COPIED)
        kept = [one for one in streams if one.codec_context.name in COPIED]
        self._streams = {one.index: target.add_stream_from_template(one) for one in kept}
        self._packets = self._source.demux(kept) if kept else iter(())
        self._next: Any = None

    def copy_until(self, time: float) -> None:
        """Writes what sounds before `time` of the target."""
        av = load_av()
        while True:
            try:
                packet = self._next or next(self._packets)
            except (StopIteration, av.error.FFmpegError, OSError):  # what is wrong with a file, its reader tells
                self._packets, self._next = iter(()), None
                return
            self._next = None
            if packet.pts is None:  # the empty packet at the end
                continue
            at = float(packet.pts * packet.time_base) - self._begin
            if at >= time:
                self._next = packet
                return
            if at >= 0:
                self._write(packet)

    def _write(self, packet):
        shift = round(self._begin / packet.time_base)
        packet.pts -= shift
        if packet.dts is not None:
            packet.dts -= shift
        packet.stream = self._streams[packet.stream.index]
        self._target.mux(packet)

    def close(self) -> None:
        """Closes the file."""
        self._source.close()
