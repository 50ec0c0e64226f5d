"""Videos: reading files, cameras, streams and folders of frames; tracking in them; writing and drawing."""

from keras_ssd.video.detecting import track as track
from keras_ssd.video.drawing import TrackDrawing as TrackDrawing
from keras_ssd.video.errors import VideoError as VideoError
from keras_ssd.video.kinds import is_video as is_video
from keras_ssd.video.sources import Frame as Frame
from keras_ssd.video.sources import Video as Video
from keras_ssd.video.sources import open_video as open_video
from keras_ssd.video.writing import VideoWriter as VideoWriter
