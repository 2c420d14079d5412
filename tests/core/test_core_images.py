"""Decoding and preprocessing: odd pictures by hand-made expectations, bad ones by their message."""

from __future__ import annotations

import io
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from omnireid.core.card import InputSpec
from omnireid.core.errors import ImageError, InputError, OmniReIDWarning, ShapeError
from omnireid.core.images import conversions, decode, load_crop, narrow_range, normalise, resize

RNG = np.random.default_rng(0)
UPRIGHT = RNG.integers(0, 256, (6, 4, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.fixture(autouse=True)
def decoding_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("place", ["a.png", "with space/ü é.png", "run-7_c3/a.png", "日本.png"])
def test_files_and_bytes_decode_alike(tmp_path, place):
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(encoded(Image.fromarray(UPRIGHT)))
    for source in (path, str(path), path.read_bytes()):
        crop = decode(source)
        assert crop.dtype == np.uint8
        np.testing.assert_array_equal(crop, UPRIGHT)
        crop[0] = 0  # a decoded crop is the caller's own


# How the stored array is turned into what a person sees, by the EXIF specification.
ORIENTATIONS = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_exif_rotation_is_applied(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(UPRIGHT), exif=exif)
    np.testing.assert_array_equal(decode(content), ORIENTATIONS[orientation](UPRIGHT))
    assert conversions(content) == (() if orientation == 1 else ("rotated by EXIF",))


def test_grey_cmyk_palette_and_transparency_become_rgb():
    red = Image.new("RGB", (3, 2), (255, 0, 0))
    transparent = Image.new("RGBA", (3, 2), (255, 0, 0, 40))
    cases = {
        "CMYK": (encoded(Image.new("CMYK", (3, 2), (0, 255, 255, 0)), "TIFF"), (255, 0, 0)),
        "palette": (encoded(red.convert("P", palette=Image.Palette.ADAPTIVE)), (255, 0, 0)),
        "transparency (dropped)": (encoded(transparent), (255, 0, 0)),
        "black and white": (encoded(Image.new("1", (3, 2), 1)), (255, 255, 255)),
    }
    for words, (content, colour) in cases.items():
        np.testing.assert_array_equal(decode(content), np.full((2, 3, 3), colour, np.uint8))
        assert conversions(content) == (words,)
    grey = encoded(Image.new("L", (3, 2), 77))
    np.testing.assert_array_equal(decode(grey), np.full((2, 3, 3), 77, np.uint8))
    assert conversions(grey) == ()


def test_a_palette_with_transparency_keeps_its_colours():
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    content = encoded(image, transparency=bytes([0, 128, 255]))
    expected = [[[10, 20, 30], [40, 50, 60]], [[70, 80, 90], [40, 50, 60]]]
    np.testing.assert_array_equal(decode(content), np.array(expected, np.uint8))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_not_clipped(kind):
    levels = np.array([[0, 128, 257], [32768, 40000, 65535]], np.uint16)
    crop = decode(encoded(Image.fromarray(levels), kind))
    np.testing.assert_array_equal(crop[:, :, 0], [[0, 0, 1], [128, 156, 255]])
    assert (crop == crop[:, :, :1]).all()


def test_float_grey_of_either_range_and_nan():
    for levels, expected in (
        ([[0.0, 0.5, 1.0]], [[0, 128, 255]]),
        ([[0.0, 32768.0, 65535.0]], [[0, 128, 255]]),
        ([[0.0, 7.0, 254.6]], [[0, 7, 255]]),  # eight bits as floats
        ([[2.0, 1.02, -0.1]], [[255, 255, 0]]),  # a little beyond 1, as resampling leaves it
        ([[0.0, np.inf, 100.0]], [[0, 255, 100]]),
        ([[np.nan, 0.5, -3.0]], [[0, 128, 0]]),
    ):
        crop = decode(encoded(Image.fromarray(np.array(levels, np.float32)), "TIFF"))
        np.testing.assert_array_equal(crop[:, :, 0], expected)


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ([[0, 16, 4000]], "values 0 to 4,095 of 65,535: nearly black"),
        ([[0, 1023, 500]], "values 0 to 1,023 of 65,535: nearly black"),
        ([[29_315, 30_000, 30_815]], "values 28,672 to 32,767 of 65,535"),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_deep_pictures_that_use_little_of_their_range_are_said_to(levels, words, dtype):
    content = encoded(Image.fromarray(np.array(levels, dtype)), "TIFF")
    assert narrow_range(content) == words
    with pytest.warns(OmniReIDWarning, match=f"a picture holds {words}. Deep pictures are read over"):
        crop = decode(content)
    # The range is the same for all pictures, whatever one of them uses.
    np.testing.assert_array_equal(crop[0, :, 0], np.rint(np.array(levels[0]) / 257))
    assert narrow_range(encoded(Image.fromarray(np.array([[0, 40_000]], dtype)), "TIFF")) == ""


def test_deep_colours_that_are_nearly_black_are_said_to_be():
    import cv2

    levels = np.full((2, 3, 3), 4000, np.uint16)
    levels[0] = 0
    content = cv2.imencode(".png", levels)[1].tobytes()
    assert narrow_range(content) == "values 0 to 4,095 of 65,535: nearly black"
    assert conversions(content) == ("16-bit colour",)
    assert narrow_range(encoded(Image.fromarray(UPRIGHT))) == ""


def test_the_first_frame_of_an_animation():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decode(content) == (255, 0, 0)).all()
    assert conversions(content) == ("palette", "several frames (the first is used)")


JPEG = encoded(Image.fromarray(UPRIGHT).resize((40, 60)), "JPEG")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"no picture", "unknown format"),
        (JPEG[: len(JPEG) // 2], "truncated"),
        (JPEG[:20], "not a picture|truncated"),
        (encoded(Image.fromarray(UPRIGHT))[:60], "truncated"),
        (encoded(Image.new("1", (9000, 8000))), "72,000,000|exceed the limit of 64,000,000"),
        (encoded(Image.new("1", (10_000, 10_000))), "too many pixels"),
        (encoded(Image.new("1", (20_000, 20_000))), "too many pixels"),
    ],
)
def test_bad_content_is_an_image_error_that_names_the_file(tmp_path, content, reason):
    path = tmp_path / "person 1.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=f"person 1.jpg: .*({reason})"):
        decode(path)
    with pytest.raises(ImageError, match="<bytes>"):
        load_crop(content, InputSpec())


def test_no_file_and_no_regular_file(tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        decode(tmp_path / "x.jpg")
    with pytest.raises(ImageError, match="is a directory"):
        decode(tmp_path)
    with pytest.raises(ImageError, match="not a picture"):
        conversions(tmp_path / "x.jpg")


@given(st.binary(max_size=200))
def test_no_bytes_escape_as_another_error(content):
    for start in (b"", JPEG[:300], encoded(Image.fromarray(UPRIGHT))[:50]):
        try:
            crop = decode(start + content)
        except ImageError:
            continue
        assert crop.ndim == 3


@given(place=st.integers(0, len(JPEG) - 1), value=st.integers(0, 255))
def test_a_flipped_byte_never_crashes(place, value):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of damaged EXIF
        try:
            crop = decode(JPEG[:place] + bytes([value]) + JPEG[place + 1 :])
        except ImageError:
            return
    assert crop.shape[2] == 3


def test_image_errors_cross_process_borders():
    error = pickle.loads(pickle.dumps(ImageError("a.jpg", "broken")))  # noqa: S301 (made here)
    assert (error.source, error.reason, str(error)) == ("a.jpg", "broken", "a.jpg: broken")


@pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_resize_is_pillows(name):
    spec = InputSpec(height=9, width=5, interpolation=name)
    method = Image.Resampling[name.upper()]
    expected = np.asarray(Image.fromarray(UPRIGHT).resize((5, 9), method))
    np.testing.assert_array_equal(resize(UPRIGHT, spec), expected)
    np.testing.assert_array_equal(load_crop(encoded(Image.fromarray(UPRIGHT)), spec), expected)
    assert expected.shape == (9, 5, 3)


@pytest.mark.parametrize(
    ("size", "decoded"),
    [
        ((31, 64), (31, 64)),
        ((32, 64), (16, 32)),
        ((64, 100), (32, 50)),
        ((130, 300), (17, 38)),
        ((500, 40), None),
    ],
)
def test_scaled_decoding_keeps_twice_the_size(size, decoded, monkeypatch):
    """JPEG knows a half, a quarter, an eighth (rounded up); at least 16×32 must be left for 8×16."""
    noise = Image.fromarray(RNG.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    spec = InputSpec(height=16, width=8)
    asked = []
    resize_of_pillow = Image.Image.resize
    monkeypatch.setattr(
        Image.Image, "resize", lambda image, *rest: asked.append(image.size) or resize_of_pillow(image, *rest)
    )
    for content, scaled in (
        (encoded(noise, "JPEG"), True),
        (encoded(noise, "JPEG"), False),
        (encoded(noise), True),
    ):
        crop = load_crop(content, spec, scaled=scaled)
        assert crop.shape == (16, 8, 3)
    assert asked == [decoded or size, size, size]


def test_scaled_decoding_of_a_smooth_picture_is_close():
    smooth = Image.fromarray(UPRIGHT).resize((256, 512), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    for options in ({}, {"exif": exif}):
        content = encoded(smooth, "JPEG", quality=95, **options)
        spec = InputSpec(height=64, width=32)
        scaled, exact = load_crop(content, spec, scaled=True), load_crop(content, spec)
        assert np.abs(scaled.astype(int) - exact).max() <= 3


def test_bilinear_upscaling_by_hand():
    """Two pixels to four: centres at 0.25 and 0.75 between the old ones, edges held."""
    row = np.array([[[0] * 3, [100] * 3]], np.uint8)
    out = resize(row, InputSpec(height=1, width=4))
    assert out[0, :, 0].tolist() == [0, 25, 75, 100]


def test_a_fitting_crop_is_passed_on():
    assert resize(UPRIGHT, InputSpec(height=6, width=4)) is UPRIGHT
    with pytest.raises(ShapeError):
        resize(UPRIGHT[:, :, 0], InputSpec())


def test_normalise_by_the_definition():
    crops = RNG.integers(0, 256, (3, 6, 4, 3), dtype=np.uint8)
    spec = InputSpec(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    out = normalise(crops, spec)
    expected = (crops / 255.0 - np.array(spec.mean)) / np.array(spec.std)
    assert out.shape == (3, 3, 6, 4)
    assert out.dtype == np.float32
    assert out.flags.c_contiguous
    np.testing.assert_allclose(out, expected.transpose(0, 3, 1, 2), rtol=0, atol=1e-6)
    with pytest.raises(ShapeError):
        normalise(crops[0], spec)


def test_real_photographs_decode_as_pillow_does(real_dir):
    path = sorted(Path(real_dir / "mot17mini" / "query").iterdir())[0]
    with Image.open(path) as image:
        np.testing.assert_array_equal(decode(path), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("shape", [(0, 50, 3), (50, 0, 3), (0, 0, 3)])
def test_a_crop_without_a_pixel_is_not_resized(shape: tuple[int, int, int]) -> None:
    height, width, _ = shape
    with pytest.raises(InputError, match=rf"^crop: holds no pixel \({height}×{width}\); was a box outside"):
        resize(np.zeros(shape, np.uint8), InputSpec())


def test_a_crop_of_one_pixel_is_resized() -> None:
    out = resize(np.full((1, 1, 3), 7, np.uint8), InputSpec(height=4, width=2))
    np.testing.assert_array_equal(out, np.full((4, 2, 3), 7))


@pytest.mark.parametrize("size", ["0 5", "5 0"])
def test_a_file_without_a_pixel_is_an_error(size: str) -> None:
    content = f"P6 {size} 255\n".encode()
    for read in (decode, lambda source: load_crop(source, InputSpec())):
        with pytest.raises(ImageError):
            read(content)
