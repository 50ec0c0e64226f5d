"""A window that shows frames, by Tk, which most Pythons bring."""

from typing import Any

from keras_ssd.video.errors import VideoError


class Window:
    """Shows images one after the other.

    Args:
        title: of the window.

    Attributes:
        closed: whether the person has closed it, or pressed q or Esc.

    Raises:
        VideoError: there is no display, or no Tk.
    """

    def __init__(self, title: str) -> None:
        try:
            import tkinter
        except ImportError:
            raise VideoError(
                "a window needs tkinter, which this Python has not (the package python3-tk on Debian and Ubuntu)."
            ) from None
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise VideoError(f"there is no display for a window ({error}).") from None
        self.closed = False
        self._root.title(title)
        self._root.protocol("WM_DELETE_WINDOW", self._close)
        for key in ("q", "<Escape>"):
            self._root.bind(key, lambda event: self._close())
        self._label: Any = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()
        self._most = (int(self._root.winfo_screenwidth() * 0.95), int(self._root.winfo_screenheight() * 0.9))

    def show(self, image: Any) -> None:
        """Shows a PIL image, smaller where the screen is."""
        if self.closed:
            return
        from PIL import ImageTk

        if image.width > self._most[0] or image.height > self._most[1]:
            image = image.copy()
            image.thumbnail(self._most)
        self._photo = ImageTk.PhotoImage(image, master=self._root)  # Tk itself keeps no reference
        self._label.configure(image=self._photo)
        self._root.update()

    def _close(self):
        self.closed = True

    def end(self) -> None:
        """Removes the window."""
        self._root.destroy()
