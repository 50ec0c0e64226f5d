"""Parts of a TensorFlow Lite file: network, suppression, whole numbers, and what the file says of itself."""
