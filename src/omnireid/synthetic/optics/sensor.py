"""From linear light to the picture a surveillance camera saves: lens blur, exposure, noise, tone, JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omnireid.core.arrays import AnyFloat, Float32, UInt8
from omnireid.core.errors import InputError, ShapeError
from omnireid.synthetic.opencv import cv2

_STEPS = 4096


@dataclass(frozen=True, slots=True)
class SensorSettings:
    """How one camera turns light into numbers. The defaults are an ideal camera.

    Attributes:
        exposure: what light is multiplied by; afterwards 1 is white.
        balance: gains of red, green and blue: the camera's idea of white.
        saturation: 1 keeps colours, 0 is grey; above 1 they are exaggerated.
        veil: share of the picture's mean light that is scattered over all of it (dust, haze, a lamp in view).
        vignette: share of light that is lost in the corners.
        gamma: exponent on the finished levels; above 1 is darker.
        contrast: −1 to 2, how S-shaped the curve of levels is: at the middle, its slope is 0.5 to 2.25.
        black, white: levels (0 to 255) of no light and of white.
        shot_noise: deviation of white's light; grows with its root. `read_noise`: deviation of no light's.
        colour_noise: share of the noise's deviation that is each colour's own; the rest is brightness.
        grain: width of the noise in pixels (0: each pixel has its own), as noise reduction leaves it.
        defocus: deviation of the lens's blur, pixels.
        motion: longest blur by movement, pixels.
        sharpening: 0 to about 1.5, how much edges are exaggerated.
        resolution: share of the picture's pixels, each way, that the sensor has; the rest is enlarged.
        quality: least and largest JPEG quality, 1 to 100.

    Raises:
        InputError: a value outside its range.
    """

    exposure: float = 1.0
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    saturation: float = 1.0
    veil: float = 0.0
    vignette: float = 0.0
    gamma: float = 1.0
    contrast: float = 0.0
    black: float = 0.0
    white: float = 255.0
    shot_noise: float = 0.0
    read_noise: float = 0.0
    colour_noise: float = 1.0
    grain: float = 0.0
    defocus: float = 0.0
    motion: float = 0.0
    sharpening: float = 0.0
    resolution: float = 1.0
    quality: tuple[int, int] = (100, 100)

    def __post_init__(self) -> None:
        ranges = {
            "exposure": (0.0, np.inf),
            "saturation": (0.0, np.inf),
            "veil": (0.0, 1.0),
            "vignette": (0.0, 1.0),
            "gamma": (0.1, 10.0),
            "contrast": (-1.0, 2.0),
            "colour_noise": (0.0, 1.0),
            "shot_noise": (0.0, np.inf),
            "read_noise": (0.0, np.inf),
            "grain": (0.0, np.inf),
            "defocus": (0.0, np.inf),
            "motion": (0.0, np.inf),
            "sharpening": (0.0, np.inf),
            "resolution": (0.01, 1.0),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"{name}: expected {low} to {high}, got {value}")
        if not 0 <= self.black < self.white <= 255:
            raise InputError(f"black {self.black}, white {self.white}: expected 0 ≤ black < white ≤ 255")
        if not 1 <= self.quality[0] <= self.quality[1] <= 100:
            raise InputError(f"quality: expected a range within 1 to 100, got {self.quality}")


def _luminance(colour: AnyFloat) -> AnyFloat:
    """ITU-R BT.709 of the last axis. No product of NumPy: how BLAS adds up depends on the machine's cores."""
    return np.asarray(0.2126 * colour[..., 0] + 0.7152 * colour[..., 1] + 0.0722 * colour[..., 2])


def metered_exposure(colour: Float32, *, grey: float = 0.18, highlights: float = 0.9) -> float:
    """The exposure that automatic cameras choose: the mean becomes grey, unless too much would be white.

    Args:
        colour: (H, W, 3) float32 linear RGB.
        grey: what the mean luminance becomes.
        highlights: what the brightest twentieth stays below.

    Returns:
        A factor for `SensorSettings.exposure`; 1 for a picture without light.
    """
    light = _luminance(colour)
    mean, bright = float(light.mean()), float(np.percentile(light, 95))
    if not mean > 0:
        return 1.0
    return min(grey / mean, max(highlights / max(bright, 1e-9), 0.4 * grey / mean))


def metered_balance(colour: Float32, *, strength: float = 0.7) -> tuple[float, float, float]:
    """The white balance that automatic cameras choose: they take the mean of what they see for grey.

    Args:
        colour: (H, W, 3) float32 linear RGB.
        strength: 0 leaves the light's colour, 1 takes all of it.

    Returns:
        Factors for `SensorSettings.balance` that keep the mean's luminance; ones for a picture without light.
    """
    mean = np.maximum(colour.mean(axis=(0, 1), dtype=np.float64), 0.0)
    if not mean.min() > 0:
        return (1.0, 1.0, 1.0)
    gains = (mean.mean() / mean) ** strength
    gains *= _luminance(mean) / _luminance(gains * mean)
    return (float(gains[0]), float(gains[1]), float(gains[2]))


def expose(colour: Float32, settings: SensorSettings, generator: np.random.Generator) -> UInt8:
    """Take the picture.

    Args:
        colour: (H, W, 3) float32 linear RGB.
        generator: draws the movement and the noise.

    Returns:
        (H, W, 3) uint8 sRGB.

    Raises:
        ShapeError: no picture of three colours.
    """
    if colour.ndim != 3 or colour.shape[2] != 3 or not colour.size:
        raise ShapeError("colour", expected="(H, W, 3)", actual=colour.shape)
    height, width = colour.shape[:2]
    # Drawn in any case: what one setting is does not change what another one draws.
    length, angle = settings.motion * generator.random(), generator.uniform(0.0, np.pi)
    light = np.ascontiguousarray(colour, np.float32)
    if settings.resolution < 1.0:
        small = (max(2, round(width * settings.resolution)), max(2, round(height * settings.resolution)))
        light = np.asarray(cv2.resize(light, small, interpolation=cv2.INTER_AREA), np.float32)
    if settings.defocus > 0.0:
        light = _blurred(light, settings.defocus * settings.resolution)
    if length * settings.resolution > 1.0:
        kernel = _motion_kernel(length * settings.resolution, angle)
        light = np.asarray(cv2.filter2D(light, -1, kernel), np.float32)
    from omnireid.synthetic.optics.developing import develop

    levels = np.empty_like(light)
    strengths = (
        1.0 - settings.veil,
        settings.veil,
        0.5 * settings.vignette,
        settings.exposure,
        # Blurred noise is weaker: by the root of the sum of the kernel's squares.
        max(1.0, 2.0 * np.sqrt(np.pi) * settings.grain),
        settings.shot_noise**2,
        settings.read_noise**2,
        settings.saturation,
    )
    develop(
        light,
        _noise(light.shape, settings, generator),
        np.array(settings.balance, np.float32),
        tuple(np.float32(value) for value in strengths),
        _tone_curve(settings),
        levels,
    )
    if settings.sharpening > 0.0:
        levels = levels + np.float32(settings.sharpening) * (levels - _blurred(levels, 1.0))
    if levels.shape[:2] != (height, width):
        levels = np.asarray(cv2.resize(levels, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    return np.asarray(np.clip(levels + 0.5, 0.0, 255.0).astype(np.uint8))


def _blurred(values: Float32, deviation: float) -> Float32:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), deviation), np.float32)


def _noise(shape: tuple[int, ...], settings: SensorSettings, generator: np.random.Generator) -> Float32:
    if not (settings.shot_noise > 0.0 or settings.read_noise > 0.0):
        return np.zeros(shape, np.float32)
    from omnireid.synthetic.optics.developing import mix_noise

    noise = generator.standard_normal(shape, dtype=np.float32)
    if settings.colour_noise < 1.0:
        own, common = settings.colour_noise, np.sqrt(1.0 - settings.colour_noise**2)
        # The common part is made of the same draws, as strong as each of them.
        mix_noise(noise, np.float32(common * np.sqrt(3.0)), np.float32(own * np.sqrt(1.5)))
    return _blurred(noise, settings.grain) if settings.grain > 0.0 else noise


def _tone_curve(settings: SensorSettings) -> Float32:
    """(4096,) float32 levels 0 to 255 by the root of linear light: steps are finest where eyes are."""
    light = (np.arange(_STEPS) / (_STEPS - 1)) ** 2
    levels = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) ** settings.gamma
    for contrast in (min(settings.contrast, 1.0), max(settings.contrast - 1.0, 0.0)):
        levels = levels + contrast * (levels * levels * (3.0 - 2.0 * levels) - levels)
    return np.asarray(settings.black + (settings.white - settings.black) * levels, np.float32)


def _motion_kernel(length: float, angle: float) -> Float32:
    """A line through the middle, `length` pixels long, its light shared out between the pixels it passes."""
    half = int(np.ceil(length / 2))
    kernel = np.zeros((2 * half + 3, 2 * half + 3), np.float32)
    for step in np.linspace(-length / 2, length / 2, 8 * half + 1):
        y, x = half + 1 + step * np.sin(angle), half + 1 + step * np.cos(angle)
        top, left = int(y), int(x)
        for row, share in ((top, 1 - (y - top)), (top + 1, y - top)):
            kernel[row, left] += share * (1 - (x - left))
            kernel[row, left + 1] += share * (x - left)
    return np.asarray(kernel / kernel.sum())


def encode_jpeg(picture: UInt8, settings: SensorSettings, generator: np.random.Generator) -> bytes:
    """Compress (H, W, 3) uint8 RGB at a quality of the camera's range."""
    quality = int(generator.integers(settings.quality[0], settings.quality[1] + 1))
    done, encoded = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done, "OpenCV cannot write JPEG"
    return bytes(encoded.tobytes())


def draw_sensor(generator: np.random.Generator) -> SensorSettings:
    """One camera as they hang in streets and halls: no two have the same colours, blur or compression.

    Pixels are those of a crop of about 128 rows; exposure is the place's to choose.
    """
    warmth, tint = generator.normal(0.0, 0.06), generator.normal(0.0, 0.03)
    quality = int(generator.integers(45, 92))
    sharpening, contrast = float(3.0 * generator.random() ** 2), generator.uniform(-0.2, 1.6)
    # What exaggerates edges and contrast exaggerates noise, too.
    noise = generator.random() ** 2 / (1.0 + 0.5 * sharpening + 0.3 * contrast)
    return SensorSettings(
        balance=(float(np.exp(warmth)), float(np.exp(tint)), float(np.exp(-warmth))),
        saturation=generator.uniform(0.4, 1.1),
        veil=float(0.3 * generator.random() ** 3),
        vignette=generator.uniform(0.0, 0.35),
        gamma=float(np.exp(generator.normal(-0.08, 0.12))),
        contrast=contrast,
        black=float(25.0 * generator.random() ** 2),
        white=generator.uniform(232.0, 255.0),
        shot_noise=float(0.006 + 0.05 * noise),
        read_noise=float(0.0003 + 0.002 * noise),
        colour_noise=generator.uniform(0.1, 0.7),
        grain=generator.uniform(0.0, 0.9),
        defocus=generator.uniform(0.2, 0.9),
        motion=generator.uniform(0.5, 3.0),
        sharpening=sharpening,
        resolution=generator.uniform(0.5, 1.0),
        quality=(quality, min(95, quality + 10)),
    )
