"""Ctrl-C during a training: the first ends it after the current step, the second at once."""

import signal
import sys
import threading


class Interrupt:
    """A context in which the first Ctrl-C sets `wanted`, and the second one is a KeyboardInterrupt.

    It does nothing outside the main thread, because Python delivers Ctrl-C only there.
    """

    def __init__(self) -> None:
        self.wanted: bool = False
        self._before = None

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._asked)
        return self

    def _asked(self, number, frame):
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True
        print("\nStopping after this step; press Ctrl-C again to stop at once.", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
