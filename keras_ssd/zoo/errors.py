"""What can go wrong between a weight's publisher and the cache."""


class DownloadError(OSError):
    """A file could not be had from a source, or from any of its sources."""


class TransientError(DownloadError):
    """A failure that another attempt may cure. `wait`: seconds that the server asked for, or None."""

    def __init__(self, message: str, wait: float | None = None):
        super().__init__(message)
        self.wait = wait


class IntegrityError(DownloadError):
    """Bytes are not the ones that were published, or not those that were pinned at first use."""
