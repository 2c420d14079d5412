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
    metered_balance,
    metered_exposure,
)


@dataclass(frozen=True, slots=True)
class Sensor:
    """Attributes:
    settings: how light becomes numbers; its exposure and balance are factors on what is metered.
    grey: what the meter makes of the mean.
    white: 0 to 1, how much of the light's colour the white balance takes.
    unsteadiness: deviation of the exposure's logarithm between pictures.
    crf: how strongly films are compressed (x264's constant rate factor).
    """

    settings: SensorSettings
    grey: float
    white: float
    unsteadiness: float
    crf: int

    def metered(self, colour: Float32) -> SensorSettings:
        """The settings in a place's light; `colour`: (H, W, 3) float32 linear, what the camera sees of it."""
        gains = metered_balance(colour, strength=self.white)
        own = self.settings.balance
        return replace(
            self.settings,
            exposure=self.settings.exposure * metered_exposure(colour, grey=self.grey),
            balance=(own[0] * gains[0], own[1] * gains[1], own[2] * gains[2]),
        )

    def crop(
        self, colour: Float32, metered: SensorSettings, share: float, generator: np.random.Generator
    ) -> bytes:
        """Take a crop as JPEG.

        Args:
            colour: (H, W, 3) float32 linear RGB, what the box shows, already of the crop's size.
            metered: the settings in the place's light.
            share: the sensor's pixels for one of the crop's, each way.
        """
        drift = np.exp(generator.normal(0.0, 0.02, 3)).tolist()
        red, green, blue = metered.balance
        settings = replace(
            metered,
            exposure=metered.exposure * float(np.exp(generator.normal(0.0, self.unsteadiness))),
            resolution=float(np.clip(share * metered.resolution, 0.25, 1.0)),
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

    def frame(self, colour: Float32, metered: SensorSettings, generator: np.random.Generator) -> UInt8:
        """Take a frame of a film: (H, W, 3) uint8 RGB."""
        settings = replace(metered, resolution=max(0.75, metered.resolution), motion=0.0)
        return expose(colour, settings, generator)


def draw_sensors(generator: np.random.Generator, num: int) -> tuple[Sensor, ...]:
    """The sensors of a network's cameras, each another."""
    return tuple(
        Sensor(
            # How small people are on the sensor follows from where the camera hangs.
            settings=replace(
                draw_sensor(generator),
                resolution=generator.uniform(0.7, 1.0),
                defocus=generator.uniform(0.15, 0.7),
            ),
            grey=generator.uniform(0.15, 0.36),
            white=generator.uniform(0.3, 0.95),
            unsteadiness=generator.uniform(0.05, 0.2),
            crf=int(generator.integers(22, 33)),
        )
        for _ in range(num)
    )
