"""The second looks: pieces of one walk, and tracklets of one person over cameras."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from omnireid.core.errors import InputError
from omnireid.video.likeness import Likeness
from omnireid.video.linking import Tracklet, impossible, link
from omnireid.video.options import Linking
from omnireid.video.stitching import Stitching, joined, stitch
from video.walks import look, track


def test_pieces_of_one_walk_are_joined_and_strangers_are_not() -> None:
    pieces = [track(1, 0, 2, 7), track(2, 3, 5, 7, x=150), track(3, 3, 5, 8, x=140), track(4, 6, 8, 7, x=190)]
    walks = [joined(walk) for walk in stitch(pieces, Likeness())]
    assert [(walk.number, len(walk)) for walk in walks] == [(1, 63), (3, 21)]
    assert walks[0].times == sorted(walks[0].times)
    assert len(pieces[0]) == 21  # what was given is left as it is


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (track(2, 4.5, 6, 7), "the gap is too long"),
        (track(2, 2.5, 6, 7, x=900), "nobody runs so fast"),
        (track(2, 1.5, 6, 7), "they are there at once"),
        (track(2, 2.5, 6, 8), "they look different"),
    ],
)
def test_what_cannot_be_one_walk_is_not(second: object, why: str) -> None:
    assert len(stitch([track(1, 0, 2, 7), second], Likeness(), Stitching())) == 2, why


def tracklet(camera: str, number: int, begin: float, end: float, who: int, noise: float = 0.0) -> Tracklet:
    vector = look(who) + noise * np.random.default_rng(number).standard_normal(look(who).size)
    return Tracklet(camera, number, begin, end, (vector / np.linalg.norm(vector)).astype(np.float32), 10)


def evidence(scores: np.ndarray) -> np.ndarray:
    return 15.0 * (np.asarray(scores) - 0.5)


def test_people_are_found_again_over_cameras_and_in_order() -> None:
    seen = [
        tracklet("hall", 1, 20, 30, 1),
        tracklet("yard", 1, 0, 10, 1),
        tracklet("yard", 2, 2, 9, 2),
        tracklet("hall", 2, 40, 50, 2),
        tracklet("yard", 3, 60, 70, 1),
        tracklet("hall", 3, 80, 90, 3),
    ]
    people = link(seen, evidence)
    assert [identity.members for identity in people] == [(1, 0, 4), (2, 3), (5,)]
    assert people[2].sure == 1.0
    assert all(0.5 < identity.sure < 1.0 for identity in people[:2])


def test_nobody_is_in_two_places_at_once() -> None:
    twins = [tracklet("yard", 1, 0, 10, 1), tracklet("yard", 2, 5, 15, 1), tracklet("hall", 1, 5, 15, 1)]
    assert len(link(twins, evidence)) == 3
    # Where cameras see the same place, somebody may be in both.
    overlapping = link(twins, evidence, Linking(overlapping=True))
    assert sorted(len(identity.members) for identity in overlapping) == [1, 2]


def test_a_chain_never_joins_what_is_impossible() -> None:
    rng = np.random.default_rng(3)
    seen = [
        tracklet(f"c{rng.integers(3)}", n, begin, begin + rng.uniform(1, 20), int(rng.integers(4)), 0.15)
        for n, begin in enumerate(rng.uniform(0, 100, 40))
    ]
    apart = impossible(seen, Linking())
    for identity in link(seen, evidence):
        for a, b in itertools.combinations(identity.members, 2):
            assert not apart[a, b]


def test_the_order_of_tracklets_does_not_matter() -> None:
    rng = np.random.default_rng(4)
    seen = [tracklet("c", n, 10.0 * n, 10.0 * n + 5, int(rng.integers(5)), 0.1) for n in range(25)]
    groups = {frozenset(seen[row].number for row in identity.members) for identity in link(seen, evidence)}
    order = rng.permutation(25)
    shuffled = [seen[row] for row in order]
    again = {frozenset(shuffled[row].number for row in i.members) for i in link(shuffled, evidence)}
    assert groups == again


def test_a_link_needs_its_probability_at_the_prior() -> None:
    pair = [tracklet("a", 1, 0, 1, 1, 0.2), tracklet("b", 2, 5, 6, 1, 0.2)]
    score = float(pair[0].embedding @ pair[1].embedding)
    for prior in (0.5, 0.01):
        odds = np.exp(evidence(np.array(score))) * prior / (1 - prior)
        probability = float(odds / (1 + odds))
        for least in (probability - 0.01, probability + 0.001):
            people = link(pair, evidence, Linking(prior=prior, least=least))
            assert len(people) == (1 if least < probability else 2)
            if len(people) == 1:
                assert people[0].sure == pytest.approx(probability, rel=1e-5)


def test_noisy_crops_of_strangers_do_not_grow_alike_in_groups() -> None:
    """Means of many crops are more alike than single crops, on which the calibration was made."""
    rng = np.random.default_rng(6)
    num_people, walks, crops, dim = 12, 6, 8, 1024

    def direction(*shape: int) -> np.ndarray:
        drawn = rng.standard_normal((*shape, dim))
        return drawn / np.linalg.norm(drawn, axis=-1, keepdims=True)

    # Crops of strangers have a similarity of 0.35 on average, of one person 0.55.
    people = np.sqrt(0.35) * direction() + np.sqrt(0.2) * direction(num_people)
    vectors = people[:, None, None] + np.sqrt(0.45) * direction(num_people, walks, crops)
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    seen = [
        Tracklet("gate", n, 20.0 * n, 20.0 * n + 9, mean.astype(np.float32), crops)
        for n, mean in enumerate(vectors.mean(axis=2).reshape(-1, dim))
    ]
    groups = [identity.members for identity in link(seen, lambda scores: 40.0 * (scores - 0.45))]
    assert groups == [tuple(range(walks * n, walks * n + walks)) for n in range(num_people)]
    # Of two walks, the score is the mean over all pairs of their crops.
    pairs = vectors[0, 0] @ vectors[1, 0].T
    assert float(seen[0].embedding @ seen[walks].embedding) == pytest.approx(pairs.mean(), abs=1e-6)


def test_many_pairs_say_more_than_one_and_less_than_each() -> None:
    """Two groups of two walks: four pairs that say the same, of which a part is said four times."""
    base, *more = np.eye(6)
    person, noise = np.stack(more)[[0, 0, 1, 1]], np.stack(more)[[2, 2, 3, 3]]
    vectors = np.sqrt(0.45) * base + np.sqrt(0.1) * person + np.sqrt(0.45) * noise
    seen = [
        Tracklet("c", n, 20.0 * n, 20.0 * n + 5, vector.astype(np.float32), 9)
        for n, vector in enumerate(vectors)
    ]
    # Walks 0 and 1 are alike, and 2 and 3; all other similarities are 0.45, which says "same" by 1.5.
    for held, number in ((1.0, 2), (0.5, 1), (0.0, 1)):
        people = link(seen, lambda scores: 30.0 * (scores - 0.4), Linking(prior=0.1, held=held))
        odds = 1.5 * 4 / (1 + held * 3) + np.log(0.1 / 0.9)
        assert len(people) == number == (1 if odds > 0 else 2)
        if number == 1:
            assert people[0].sure == pytest.approx(1 / (1 + np.exp(-odds)), rel=1e-4)


def test_a_tracks_steadiness_is_the_length_of_its_mean_look() -> None:
    looks = np.eye(3)
    one = track(1, 0, 2, 7)
    one.look, one.weight = 0.5 * looks[0] + 0.5 * looks[1], 1.0
    two = track(2, 3, 5, 7, x=150)
    two.look, two.weight = 2.0 * looks[2], 2.0
    assert (one.steadiness, two.steadiness) == (pytest.approx(np.sqrt(0.5)), 1.0)
    assert joined([one, two]).steadiness == pytest.approx(np.linalg.norm([0.5, 0.5, 2.0]) / 3.0)


def test_nothing_to_link_and_senseless_numbers() -> None:
    assert link([], evidence) == ()
    with pytest.raises(InputError, match="prior: expected a number between 0 and 1, got 1"):
        Linking(prior=1.0)
