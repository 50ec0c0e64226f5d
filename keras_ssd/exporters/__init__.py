"""Models of this package -> files for other programs."""
