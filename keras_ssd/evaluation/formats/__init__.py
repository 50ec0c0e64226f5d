"""Files of detections: this package's json, COCO's results, files for VOC's and ILSVRC's servers, CSV."""

from keras_ssd.evaluation.formats.files import FORMATS as FORMATS
from keras_ssd.evaluation.formats.files import check_target as check_target
from keras_ssd.evaluation.formats.files import read_detections as read_detections
from keras_ssd.evaluation.formats.files import write_detections as write_detections
