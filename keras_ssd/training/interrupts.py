"""Ctrl-C during a training: asked politely it waits for the step in progress, asked twice it does not."""

import signal
import sys
import threading


class Interrupt:
    """A context in which the first Ctrl-C sets `wanted`, and the second one is a KeyboardInterrupt.

    In another thread than the main one, which no Ctrl-C reaches, it does nothing.
    """

    def __init__(self):
        self.wanted = False
        self._before = None

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._asked)
        return self

    def _asked(self, number, frame):
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True
        print("\nStopping after this step; press Ctrl-C again to stop at once.", file=sys.stderr, flush=True)

    def __exit__(self, *_):
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
