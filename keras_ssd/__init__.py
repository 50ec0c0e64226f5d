"""SSD (Single Shot MultiBox Detector) for Keras 3.

The public names are listed in `__all__`; everything else may move between releases.
"""

from keras_ssd import _environment as _environment  # picks a backend before Keras is imported
from keras_ssd._version import __version__ as __version__
