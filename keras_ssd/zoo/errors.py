"""Errors of downloads."""


class DownloadError(OSError):
    """A file could not be downloaded from a source, or from any of its sources."""


class TransientError(DownloadError):
    """A failure after which another attempt may succeed. `wait`: seconds that the server asked for, or None."""

    def __init__(self, message: str, wait: float | None = None):
        super().__init__(message)
        self.wait = wait


class IntegrityError(DownloadError):
    """A file differs from the published one, or from the one that was pinned at first use."""
