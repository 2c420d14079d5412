"""A camera: where it hangs, the light it stands in, how it turns light into a JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omnireid.core.arrays import Float32, Float64, UInt8
from omnireid.core.seeds import derive_seed, numpy_generator
from omnireid.synthetic.opencv import cv2
from omnireid.synthetic.pose import View
from omnireid.synthetic.scene import SCENE_KINDS, Scene, make_scene


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera of the network.

    Attributes:
        scene: what is behind the people.
        headings: directions people walk in, radians from facing the camera.
        light_azimuth, ambient, diffuse: the light on bodies.
        exposure_spread: how much the brightness differs between pictures (sun, shadow, automatic exposure).
        colour: (3, 3) float32, linear colour response (gains, saturation, crosstalk).
        curve: (256,) uint8 tone curve.
        resolution: range of a whole box's height on the sensor, in pixels.
        defocus: blur in sensor pixels. `motion`: largest motion blur in sensor pixels.
        noise: deviation of the sensor noise in grey levels at mid brightness.
        quality: range of the JPEG quality.
        occlusion: share of pictures with something in front of the person.
    """

    view: View
    scene: Scene
    headings: tuple[float, ...]
    light_azimuth: float
    ambient: float
    diffuse: float
    exposure_spread: float
    colour: Float32
    curve: UInt8
    resolution: tuple[float, float]
    defocus: float
    motion: float
    noise: float
    quality: tuple[int, int]
    occlusion: float


def make_cameras(seed: int, num_cameras: int) -> tuple[Camera, ...]:
    """Lay out a camera network. Each property is spread over its whole range, so cameras always differ."""
    generator = numpy_generator(seed, "cameras")

    def spread(low: float, high: float) -> Float64:
        steps = (np.arange(num_cameras) + generator.uniform(0.25, 0.75, num_cameras)) / num_cameras
        return low + (high - low) * generator.permutation(steps)

    kinds = generator.permutation(len(SCENE_KINDS))
    elevation, warmth, tint = spread(0.03, 0.42), spread(-0.75, 0.75), spread(-0.75, 0.75)
    gamma, saturation, gain = spread(0.88, 1.15), spread(0.78, 1.12), spread(0.90, 1.10)
    azimuth, contrast = spread(-1.3, 1.3), spread(0.0, 1.0)
    resolution, defocus, noise = spread(144, 240), spread(0.15, 0.45), spread(1.2, 4.0)
    quality, occlusion = spread(60, 90), spread(0.03, 0.11)
    axis = spread(-0.5, 0.5)
    return tuple(
        Camera(
            view=View(
                elevation=float(elevation[i]),
                perspective=generator.uniform(0.08, 0.20),
                roll=generator.normal(0.0, 0.02),
            ),
            scene=make_scene(
                numpy_generator(derive_seed(seed, "scene", i)),
                SCENE_KINDS[kinds[i % len(kinds)]],
                float(elevation[i]),
            ),
            headings=tuple(float(axis[i] + turn) for turn in (0.0, np.pi / 2, np.pi, -np.pi / 2)),
            light_azimuth=float(azimuth[i]),
            ambient=float(0.86 - 0.36 * contrast[i]),
            diffuse=float(0.16 + 0.50 * contrast[i]),
            exposure_spread=float(0.05 + 0.05 * contrast[i]),
            colour=_colour_response(float(gain[i]), float(warmth[i]), float(tint[i]), float(saturation[i])),
            curve=_tone_curve(float(gamma[i]), generator.uniform(0, 14), generator.uniform(236, 255)),
            resolution=(float(resolution[i]) * 0.8, float(resolution[i]) * 1.2),
            defocus=float(defocus[i]),
            motion=generator.uniform(0.8, 2.5),
            noise=float(noise[i]),
            quality=(int(quality[i]) - 6, int(quality[i]) + 6),
            occlusion=float(occlusion[i]),
        )
        for i in range(num_cameras)
    )


def _colour_response(gain: float, warmth: float, tint: float, saturation: float) -> Float32:
    gains = gain * np.array([1.0 + 0.11 * warmth, 1.0 + 0.05 * tint, 1.0 - 0.13 * warmth])
    grey = np.full((3, 3), 1.0 / 3.0)
    return (np.diag(gains) @ (saturation * np.eye(3) + (1.0 - saturation) * grey)).astype(np.float32)


def _tone_curve(gamma: float, black: float, white: float) -> UInt8:
    levels = np.linspace(0.0, 1.0, 256) ** gamma
    return np.clip(np.rint(black + (white - black) * levels), 0, 255).astype(np.uint8)


def expose(camera: Camera, canvas: Float32, generator: np.random.Generator) -> UInt8:
    """Lens, sensor and tone curve.

    Args:
        canvas: (H, W, 3) float32 RGB, 0 to 255.

    Returns:
        (H, W, 3) uint8 RGB: sampled at the sensor's resolution, then enlarged again as a detector's crop is.
    """
    height, width = canvas.shape[:2]
    on_sensor = generator.uniform(*camera.resolution)
    sensor_height = min(round(on_sensor), height)
    sensor_width = max(8, round(sensor_height * width / height))
    # A picture smaller than the sensor's averages its pixels: less blur and noise in each.
    share = sensor_height / on_sensor
    cast = (1.0 + generator.normal(0.0, 0.025, 3)) * np.exp(generator.normal(0.0, camera.exposure_spread))
    small = cv2.resize(canvas, (sensor_width, sensor_height), interpolation=cv2.INTER_AREA)
    small = cv2.transform(small, camera.colour * cast[:, None].astype(np.float32))
    small = cv2.GaussianBlur(small, (0, 0), share * camera.defocus * generator.uniform(0.7, 1.4))
    length = share * generator.uniform(0.0, camera.motion)
    if length > 1.5:
        small = cv2.filter2D(small, -1, _motion_kernel(length, generator.uniform(-0.5, 0.5)))
    noise = generator.standard_normal(small.shape, dtype=np.float32)
    small = small + noise * np.float32(share * camera.noise * generator.uniform(0.6, 1.4))
    levels = cv2.LUT(np.clip(small, 0, 255).astype(np.uint8), camera.curve)
    return np.asarray(cv2.resize(levels, (width, height), interpolation=cv2.INTER_LINEAR))


def _motion_kernel(length: float, angle: float) -> Float32:
    size = 2 * int(np.ceil(length / 2)) + 1
    kernel = np.zeros((size, size), dtype=np.float32)
    middle = size // 2
    for step in np.linspace(-length / 2, length / 2, 4 * size):
        kernel[round(middle + step * np.sin(angle)), round(middle + step * np.cos(angle))] += 1.0
    kernel /= kernel.sum()
    return kernel


def encode_jpeg(camera: Camera, crop: UInt8, generator: np.random.Generator) -> bytes:
    """Compress (H, W, 3) uint8 RGB at the camera's quality."""
    quality = int(generator.integers(camera.quality[0], camera.quality[1] + 1))
    done, encoded = cv2.imencode(".jpg", crop[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done, "OpenCV cannot write JPEG"
    return bytes(encoded.tobytes())
