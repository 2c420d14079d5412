"""The published corruptions, which ours are compared with. Runs in an environment without OmniReID.

    python3.7 -m venv reference
    reference/bin/pip install imagecorruptions==1.1.2 albumentations==0.5.2 numpy==1.19.5 scipy==1.5.4 \\
        scikit-image==0.17.2 opencv-python==4.5.1.48 opencv-python-headless==4.5.1.48 Pillow==9.5.0 \\
        imageio==2.9.0 shapely==1.7.1 "setuptools<60"
    reference/bin/python -W ignore benchmarks/corruption_reference.py statistics [NAME …]

`statistics` (an hour on two cores) writes tests/robustness/reference.npz: for each corruption, severity and
crop the mean over many draws of the result's mean, deviation and gradient energy, in two independent halves,
which say how much is chance; and the SHA-256 of the results without chance in them, to which motion blur by
given angles belongs. With names, only those are made anew, and the others stay. `serve` answers
timing requests of benchmarks/corruptions.py: "NAME SEVERITY" in, CPU seconds for the timed crops out.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import multiprocessing
import random
import sys
import time
import zlib
from pathlib import Path

import albumentations
import cv2
import numpy as np
import PIL
import scipy
import skimage
from imagecorruptions import corruptions as published
from PIL import Image

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "robustness"
PIXEL_EQUAL = (
    "contrast",
    "brightness",
    "saturate",
    "pixelate",
    "jpeg_compression",
    "gaussian_blur",
    "defocus_blur",
    "zoom_blur",
)
ANGLES = (-45, -31.5, -10, 0, 7.25, 30, 44)
# So many of the 64×128 crops are timed.
TIMED = 8
# Draws per crop and half: the more, the more a draw moves the statistics of the picture.
DRAWS = {
    "gaussian_noise": 8,
    "shot_noise": 8,
    "impulse_noise": 8,
    "speckle_noise": 8,
    "glass_blur": 3,
    "motion_blur": 64,
    "snow": 32,
    "frost": 1024,
    "fog": 192,
    "spatter": 96,
    "rain": 64,
    "elastic_transform": 16,
}


def rain(image, severity):
    """Rain as the benchmark composes it: RandomRain, then a fixed darkening; low pictures are enlarged."""
    kind = ("drizzle", "heavy", "heavy", "torrential", "torrential")[severity - 1]
    darker = -(0.05 + 0.05 * severity)
    transforms = albumentations.augmentations.transforms
    pipeline = albumentations.Compose(
        [
            transforms.RandomRain(
                rain_type=kind, blur_value=2 + severity, brightness_coefficient=1, always_apply=True
            ),
            transforms.RandomBrightness(limit=[darker, darker], always_apply=True),
        ]
    )
    width, height = image.size
    if height <= 60:
        image = image.resize((int(width * (65.0 / height)), 65), Image.BICUBIC)
    return pipeline(image=np.array(image))["image"]


FUNCTIONS = {name: getattr(published, name) for name in (*PIXEL_EQUAL, *DRAWS) if name != "rain"}
FUNCTIONS["rain"] = rain


def corrupt(image, name, severity):
    return np.uint8(FUNCTIONS[name](image.copy(), severity=severity))


def read_crops():
    files = np.load(FOLDER / "crops.npz")
    return [Image.open(io.BytesIO(files[key].tobytes())).convert("RGB") for key in sorted(files.files)]


def measure(levels):
    """Mean, deviation and gradient energy (mean squared difference of neighbours, down plus right)."""
    levels = levels.astype(np.float64)
    gradient = np.mean(np.diff(levels, axis=0) ** 2) + np.mean(np.diff(levels, axis=1) ** 2)
    return levels.mean(), levels.std(), gradient


def native(levels, image):
    """A low picture that rain has enlarged, at its own size again; other pictures as they are."""
    if levels.shape[:2] == image.size[::-1]:
        return levels
    return np.array(Image.fromarray(levels).resize(image.size, Image.BICUBIC))


def cached_overlays():
    """Read and enlarge each of the frost overlays once instead of for every draw, which would take hours."""
    cv2.imread = functools.lru_cache(maxsize=None)(cv2.imread)
    plain_resize, enlarged = cv2.resize, {}

    def resize(source, dsize, interpolation):
        key = (id(source), dsize)
        if key not in enlarged:
            enlarged[key] = plain_resize(source, dsize=dsize, interpolation=interpolation)
        return enlarged[key]

    cv2.resize = resize


def statistics_of(name):
    """Per severity: key, (halves, crops, 3) statistics, and the hash where there is no chance."""
    start = time.time()
    crops, found = read_crops(), []
    for severity in range(1, 6):
        key = f"{name}-{severity}"
        if name in PIXEL_EQUAL:
            results = [corrupt(image, name, severity) for image in crops]
            sha256 = hashlib.sha256(b"".join(result.tobytes() for result in results)).hexdigest()
            found.append((key, np.array([[measure(result) for result in results]], np.float32), sha256))
            continue
        halves = []
        for half in range(2):
            seed = zlib.crc32(f"{key}-{half}".encode())
            np.random.seed(seed)  # noqa: NPY002 - the published code draws from here
            random.seed(seed)
            draws = [
                [measure(native(corrupt(image, name, severity), image)) for _ in range(DRAWS[name])]
                for image in crops
            ]
            halves.append(np.mean(draws, axis=1))
        found.append((key, np.array(halves, np.float32), None))
    print(f"{name}: {time.time() - start:.0f} s", flush=True)
    return found


def motion_hashes():
    """SHA-256 of motion blur of all crops by each angle, which is all the chance there is in it."""
    crops, hashes = read_crops(), {}
    draw = np.random.uniform
    for severity in range(1, 6):
        for angle in ANGLES:
            np.random.uniform = lambda low, high, angle=angle: angle
            results = [corrupt(image, "motion_blur", severity) for image in crops]
            key = f"motion_blur-{severity}-{angle}"
            hashes[key] = hashlib.sha256(b"".join(result.tobytes() for result in results)).hexdigest()
    np.random.uniform = draw
    return hashes


def write_statistics(names):
    path = FOLDER / "reference.npz"
    arrays, hashes = {}, motion_hashes()
    if names:
        with np.load(path) as files:
            hashes.update(json.loads(str(files["about"]))["sha256"])
            arrays = {key: files[key] for key in files.files if key != "about"}
    # The slowest first.
    names = sorted(names or FUNCTIONS, key=lambda name: name not in ("glass_blur", "frost", "fog"))
    with multiprocessing.Pool(2, cached_overlays) as pool:
        for rows in pool.imap_unordered(statistics_of, names):
            for key, array, sha256 in rows:
                arrays[key] = array
                if sha256 is not None:
                    hashes[key] = sha256
    versions = {
        "python": sys.version.split()[0],
        "albumentations": albumentations.__version__,
        "imagecorruptions": "1.1.2",
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "pillow": PIL.__version__,
        "scikit-image": skimage.__version__,
        "scipy": scipy.__version__,
    }
    about = json.dumps({"versions": versions, "draws_per_half": DRAWS, "sha256": hashes}, sort_keys=True)
    np.savez_compressed(path, about=np.array(about), **{key: arrays[key] for key in sorted(arrays)})


def serve():
    cv2.setNumThreads(1)
    crops = [image for image in read_crops() if image.size == (64, 128)][:TIMED]
    for line in sys.stdin:
        name, severity = line.split()
        start = time.process_time()
        for image in crops:
            corrupt(image, name, int(severity))
        # The published code prints too: the answer is marked.
        print(f"seconds {time.process_time() - start:.9f}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve()
    elif sys.argv[1:2] == ["statistics"]:
        write_statistics(sys.argv[2:])
    else:
        sys.exit("error: expected 'serve' or 'statistics [NAME …]'")
