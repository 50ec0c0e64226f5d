"""Why a detector finds nothing: checks of a model, with one verdict and the next thing to try."""

from keras_ssd.doctor.examining import examine as examine
from keras_ssd.doctor.findings import Diagnosis as Diagnosis
from keras_ssd.doctor.findings import Finding as Finding
