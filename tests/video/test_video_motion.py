"""All tracks' filters together against one written out, and what must not depend on the frame rate."""

from __future__ import annotations

import numpy as np

from omnireid.video.motion import Motion, centred

SEEN = np.array([[100.0, 200.0, 40.0, 100.0], [300.0, 180.0, 60.0, 150.0]])


def test_corners_become_centre_and_size() -> None:
    assert centred([[1.0, 2.0, 11.0, 32.0]]).tolist() == [[6.0, 17.0, 10.0, 30.0]]


def test_two_short_steps_are_one_long_one() -> None:
    motion = Motion(growth=0.1)
    states, covariances = motion.begin(SEEN)
    states[:, 4:] = [[30.0, -5.0], [0.0, 12.0]]
    once = motion.advance(states, covariances, np.full(2, 0.4))
    half = motion.advance(states, covariances, np.full(2, 0.2))
    twice = motion.advance(*half, np.full(2, 0.2))
    np.testing.assert_allclose(twice[0], once[0])
    np.testing.assert_allclose(twice[1], once[1], rtol=1e-9)


def test_a_look_corrects_as_a_filter_written_out() -> None:
    motion = Motion()
    states, covariances = motion.advance(*motion.begin(SEEN), np.full(2, 0.1))
    seen = SEEN + np.array([[4.0, -3.0, 2.0, 5.0], [-6.0, 1.0, 0.0, -4.0]])
    corrected, spread = motion.correct(states, covariances, seen, np.array([False, True]))
    for row, doubt in ((0, 1.0), (1, motion.doubt)):
        width, height = states[row, 2:4]
        noise = np.diag(
            [(motion.centre * height * doubt) ** 2] * 2
            + [(motion.width * width * doubt) ** 2, (motion.height * height * doubt) ** 2]
        )
        look = np.eye(4, 6)
        total = look @ covariances[row] @ look.T + noise
        gain = covariances[row] @ look.T @ np.linalg.inv(total)
        np.testing.assert_allclose(corrected[row], states[row] + gain @ (seen[row] - look @ states[row]))
        np.testing.assert_allclose(spread[row], (np.eye(6) - gain @ look) @ covariances[row], atol=1e-9)


def test_evidence_is_the_normal_density_in_heights() -> None:
    from scipy.stats import multivariate_normal

    motion = Motion()
    states, covariances = motion.begin(SEEN)
    density, sq_dist = motion.evidence(states, covariances, SEEN + 3.0)
    for row in range(2):
        width, height = states[row, 2:4]
        total = covariances[row, :4, :4] + np.diag(motion.noise(states)[row])
        for column in range(2):
            expected = multivariate_normal(states[row, :4], total).logpdf(SEEN[column] + 3.0)
            np.testing.assert_allclose(density[row, column], expected + np.log(height**3 * width), rtol=1e-6)
            error = SEEN[column] + 3.0 - states[row, :4]
            np.testing.assert_allclose(sq_dist[row, column], error @ np.linalg.inv(total) @ error)


def test_the_picture_s_size_does_not_matter() -> None:
    small, large = (Motion().evidence(*Motion().begin(SEEN * s), SEEN * s + 2.0 * s) for s in (1.0, 3.0))
    np.testing.assert_allclose(small[0], large[0])
