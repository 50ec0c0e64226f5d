"""Where the frames of a video come from."""

from keras_ssd.video.sources.opening import open_video as open_video
from keras_ssd.video.sources.video import Frame as Frame
from keras_ssd.video.sources.video import Video as Video
