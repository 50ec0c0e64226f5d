"""Where the box of each track is expected: a Kalman filter with constant velocity, for all tracks at once.

The four sides of a box move independently and are equally uncertain, so one 2 x 2 covariance per track serves all of
them: the variance of a side, that of its velocity, and how they vary together. The units are pixels and frames.
"""

import numpy as np

MEASURED = 0.1  # variance of a side of a detected box, px²
MOVED = 0.01  # variance that a frame adds to a side and to its velocity
_STEADY_SECONDS = 0.004  # a frame this much too early or too late counts as one frame


class Motion:
    """Sides and velocities of the boxes of T tracks.

    Attributes:
        boxes_xyxy: (T, 4) where the boxes are expected.
        velocities: (T, 4) pixels per frame.
        covariances: (T, 3) of a side: its variance, its covariance with its velocity, the velocity's variance.
    """

    def __init__(self) -> None:
        self.boxes_xyxy: np.ndarray = np.zeros((0, 4))
        self.velocities: np.ndarray = np.zeros((0, 4))
        self.covariances: np.ndarray = np.zeros((0, 3))

    def predict(self, frames: float = 1.0, frame_rate: float = 30.0) -> None:
        """Moves every box on by some frames.

        Args:
            frames: how many; other than 1 where frames were left out or their times vary.
            frame_rate: of the video, in frames per second.
        """
        side, both, speed = self.covariances.T
        noise = _noise(frames, frame_rate)
        self.boxes_xyxy = self.boxes_xyxy + frames * self.velocities
        self.covariances = np.stack(
            [
                side + 2 * frames * both + frames**2 * speed + noise[0],
                both + frames * speed + noise[1],
                speed + noise[2],
            ],
            axis=1,
        )

    def update(self, rows: np.ndarray, boxes_xyxy: np.ndarray) -> None:
        """Corrects some tracks by the boxes that were found for them.

        Args:
            rows: (M,) tracks.
            boxes_xyxy: (M, 4) their boxes.
        """
        side, both, speed = self.covariances[rows].T
        doubt = side + MEASURED
        gain, gain_of_speed = side / doubt, both / doubt  # shares of the error that box and velocity take over
        error = boxes_xyxy - self.boxes_xyxy[rows]
        self.boxes_xyxy[rows] += gain[:, None] * error
        self.velocities[rows] += gain_of_speed[:, None] * error
        self.covariances[rows] = np.stack([gain * MEASURED, gain_of_speed * MEASURED, speed - gain_of_speed * both], 1)

    def add(self, boxes_xyxy: np.ndarray) -> None:
        """New tracks at the end, at rest."""
        count = len(boxes_xyxy)
        self.boxes_xyxy = np.concatenate([self.boxes_xyxy, boxes_xyxy])
        self.velocities = np.concatenate([self.velocities, np.zeros((count, 4))])
        self.covariances = np.concatenate([self.covariances, np.tile([1.0, 0.0, 1.0], (count, 1))])

    def keep(self, rows: np.ndarray) -> None:
        """These tracks alone, in this order."""
        self.boxes_xyxy, self.velocities = self.boxes_xyxy[rows], self.velocities[rows]
        self.covariances = self.covariances[rows]


def _noise(frames, frame_rate):
    """What a step adds to the three covariances: after a gap, that of a random acceleration."""
    if abs(frames - 1) <= _STEADY_SECONDS * frame_rate:
        return MOVED, 0.0, MOVED
    return MOVED * frames**4 / 4, MOVED * frames**3 / 2, MOVED * frames**2
