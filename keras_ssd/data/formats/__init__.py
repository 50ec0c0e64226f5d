"""Files of datasets: a module a format, each with `find`, `records` and `write`."""
