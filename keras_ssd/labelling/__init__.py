"""Labels without labelling: boxes of a detector as annotation tools import them, and which images to label next."""

from keras_ssd.labelling.choosing import Chosen as Chosen
from keras_ssd.labelling.choosing import choose as choose
from keras_ssd.labelling.choosing import uncertainty as uncertainty
from keras_ssd.labelling.labelling import Labelled as Labelled
from keras_ssd.labelling.labelling import label as label
