"""The sensor of each camera of a network: exposure by the place's light; how crops and frames are taken."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from omnireid.core.arrays import Float32, UInt8
from omnireid.synthetic.opencv import cv2
from omnireid.synthetic.optics.sensor import (
    SensorSettings,
    draw_sensor,
    encode_jpeg,
    expose,
    metered_exposure,
)


@dataclass(frozen=True, slots=True)
class Sensor:
    """Attributes:
    settings: how light becomes numbers; its exposure is a factor on what the light meter says.
    grey: what the meter makes of the mean.
    unsteadiness: deviation of the exposure's logarithm between pictures.
    crf: how strongly films are compressed (x264's constant rate factor).
    """

    settings: SensorSettings
    grey: float
    unsteadiness: float
    crf: int

    def metered(self, colour: Float32) -> float:
        """The exposure for a place: `colour` is (H, W, 3) float32 linear, what the camera sees of it."""
        return self.settings.exposure * metered_exposure(colour, grey=self.grey)

    def crop(self, colour: Float32, exposure: float, share: float, generator: np.random.Generator) -> bytes:
        """Take a crop as JPEG.

        Args:
            colour: (H, W, 3) float32 linear RGB, what the box shows, already of the crop's size.
            exposure: what `metered` said.
            share: the sensor's pixels for one of the crop's, each way.
        """
        drift = np.exp(generator.normal(0.0, 0.02, 3)).tolist()
        red, green, blue = self.settings.balance
        settings = replace(
            self.settings,
            exposure=exposure * float(np.exp(generator.normal(0.0, self.unsteadiness))),
            resolution=float(np.clip(share * self.settings.resolution, 0.25, 1.0)),
            balance=(red * drift[0], green * drift[1], blue * drift[2]),
        )
        picture = expose(colour, settings, generator)
        if generator.random() < 0.5:
            # Many crops are cut out of pictures that had been compressed before.
            film = int(generator.integers(max(25, settings.quality[0] - 25), settings.quality[1]))
            done, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, film])
            assert done, "OpenCV cannot write JPEG"
            picture = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))
        return encode_jpeg(picture, settings, generator)

    def frame(self, colour: Float32, exposure: float, generator: np.random.Generator) -> UInt8:
        """Take a frame of a film: (H, W, 3) uint8 RGB."""
        settings = replace(
            self.settings, exposure=exposure, resolution=max(0.75, self.settings.resolution), motion=0.0
        )
        return expose(colour, settings, generator)


def draw_sensors(generator: np.random.Generator, num: int) -> tuple[Sensor, ...]:
    """The sensors of a network's cameras, each another."""
    return tuple(
        Sensor(
            # How small people are on the sensor follows from where the camera hangs.
            settings=replace(
                draw_sensor(generator),
                resolution=float(generator.uniform(0.7, 1.0)),
                defocus=float(generator.uniform(0.15, 0.7)),
            ),
            grey=float(generator.uniform(0.13, 0.26)),
            unsteadiness=float(generator.uniform(0.05, 0.2)),
            crf=int(generator.integers(22, 33)),
        )
        for _ in range(num)
    )
