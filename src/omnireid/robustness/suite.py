"""Names of the twenty corruptions, in the order of the published tables, and what kind each is.

Source: Chen et al., Benchmarks for Corruption Invariant Person Re-identification, NeurIPS 2021 Datasets and
Benchmarks: nineteen of Hendrycks & Dietterich (ICLR 2019), and rain.
"""

from __future__ import annotations

CATEGORIES: dict[str, str] = {
    "gaussian_noise": "noise",
    "shot_noise": "noise",
    "impulse_noise": "noise",
    "speckle_noise": "noise",
    "defocus_blur": "blur",
    "glass_blur": "blur",
    "motion_blur": "blur",
    "zoom_blur": "blur",
    "gaussian_blur": "blur",
    "snow": "weather",
    "frost": "weather",
    "fog": "weather",
    "brightness": "weather",
    "spatter": "weather",
    "rain": "weather",
    "contrast": "digital",
    "elastic_transform": "digital",
    "pixelate": "digital",
    "jpeg_compression": "digital",
    "saturate": "digital",
}
CORRUPTIONS: tuple[str, ...] = tuple(CATEGORIES)
SEVERITIES = (1, 2, 3, 4, 5)
