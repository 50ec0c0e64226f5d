"""Anchors (prior boxes): their description, their arrays, and the named ones of the original models."""

from keras_ssd.anchors.files import read_spec as read_spec
from keras_ssd.anchors.files import write_spec as write_spec
from keras_ssd.anchors.fit_summary import FittedSpec as FittedSpec
from keras_ssd.anchors.fitting import fit as fit
from keras_ssd.anchors.grids import Levels as Levels
from keras_ssd.anchors.level import AnchorLevel as AnchorLevel
from keras_ssd.anchors.overlays import draw_anchors as draw_anchors
from keras_ssd.anchors.recipes import AnchorRecipe as AnchorRecipe
from keras_ssd.anchors.recipes import RecipeLevel as RecipeLevel
from keras_ssd.anchors.recipes import named_recipe as named_recipe
from keras_ssd.anchors.recipes import named_spec as named_spec
from keras_ssd.anchors.recipes import recipe_names as recipe_names
from keras_ssd.anchors.reporting import AnchorReport as AnchorReport
from keras_ssd.anchors.reporting import report as report
from keras_ssd.anchors.spec import AnchorSpec as AnchorSpec
from keras_ssd.anchors.spreading import spread_spec as spread_spec
