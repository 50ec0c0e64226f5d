"""The first thing to try: a drawn blood smear, and what the detector of this package finds in it."""

from keras_ssd.demonstration.finding import demo as demo
from keras_ssd.demonstration.smear import draw_smear as draw_smear
