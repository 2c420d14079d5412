"""The published parameters of each corruption at each severity.

Source: Chen et al., arXiv 2111.00880 (Market-1501-C and others), whose corruptions are those of
`imagecorruptions` 1.1.2 (Hendrycks and Dietterich, ICLR 2019) and rain of `albumentations` 0.5.2.
Intensities are on [0, 1] unless said otherwise.
"""

from __future__ import annotations

from typing import Any

# One row per severity; the columns are the arguments of the function of that name, after crop and rng.
PARAMETERS: dict[str, tuple[tuple[Any, ...], ...]] = {
    # σ that is added
    "gaussian_noise": ((0.08,), (0.12,), (0.18,), (0.26,), (0.38,)),
    # photons of full intensity
    "shot_noise": ((60,), (25,), (12,), (5,), (3,)),
    # share of values replaced
    "impulse_noise": ((0.03,), (0.06,), (0.09,), (0.17,), (0.27,)),
    # σ of the factor
    "speckle_noise": ((0.15,), (0.2,), (0.35,), (0.45,), (0.6,)),
    # radius of the disk, σ that smooths its edge
    "defocus_blur": ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    # σ, largest shift, rounds
    "glass_blur": ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    # radius, σ
    "motion_blur": ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    # end and step of the zoom factors, which start at 1; float rounding decides whether the end is in
    "zoom_blur": ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
    # σ
    "gaussian_blur": ((1,), (2,), (3,), (4,), (6,)),
    # flakes: mean, deviation, zoom, threshold; their motion: radius, σ; share of the picture kept
    "snow": (
        ((0.1, 0.3, 3, 0.5), (10, 4), 0.8),
        ((0.2, 0.3, 2, 0.5), (12, 4), 0.7),
        ((0.55, 0.3, 4, 0.9), (12, 8), 0.7),
        ((0.55, 0.3, 4.5, 0.85), (12, 8), 0.65),
        ((0.55, 0.3, 2.5, 0.85), (12, 12), 0.55),
    ),
    # weight of the picture, weight of the overlay
    "frost": ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
    # strength, decay from one scale to the next
    "fog": ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    # added to the HSV value
    "brightness": ((0.1,), (0.2,), (0.3,), (0.4,), (0.5,)),
    # liquid: mean, deviation, σ that smooths it, threshold, strength; 0 is water, 1 is mud
    "spatter": (
        (0.65, 0.3, 4, 0.69, 0.6, 0),
        (0.65, 0.3, 3, 0.68, 0.6, 0),
        (0.65, 0.3, 2, 0.68, 0.5, 0),
        (0.65, 0.3, 1, 0.65, 1.5, 1),
        (0.67, 0.4, 1, 0.65, 1.5, 1),
    ),
    # pixels per drop, length of a drop, side of the box blur, what is added to the brightness
    "rain": (
        (770, 10, 3, -0.10),
        (600, 30, 4, -0.15),
        (600, 30, 5, -0.20),
        (500, 60, 6, -0.25),
        (500, 60, 7, -0.30),
    ),
    # scale about the mean of each channel
    "contrast": ((0.4,), (0.3,), (0.2,), (0.1,), (0.05,)),
    # factor of the smoothed random shifts
    "elastic_transform": ((12.5,), (16.25,), (21.25,), (25.0,), (30.0,)),
    # factor of the side length
    "pixelate": ((0.6,), (0.5,), (0.4,), (0.3,), (0.25,)),
    # quality
    "jpeg_compression": ((25,), (18,), (15,), (10,), (7,)),
    # scale and shift of the HSV saturation
    "saturate": ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
}
