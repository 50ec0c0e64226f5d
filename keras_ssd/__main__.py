"""`python -m keras_ssd` is the command `keras-ssd`."""

import sys

from keras_ssd.cli import main

sys.exit(main())
