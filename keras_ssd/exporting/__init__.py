"""Models of this package -> files that other programs run, compared with the model.

`exporters` and `caffe.exporter` write graphs; here are the options, the description in the file, and the comparison.
"""

from keras_ssd.exporting.door import export as export
from keras_ssd.exporting.written import Exported as Exported
from keras_ssd.exporting.written import ParityError as ParityError
