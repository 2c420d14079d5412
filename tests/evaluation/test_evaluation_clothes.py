"""What clothes are worth, against models that are known to go by clothes, by people, or by both."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from omnireid.core.errors import InputError, ShapeError
from omnireid.evaluation.clothes import ClothesPictures, clothes_share, measure_clothes

DIM = 256


def design(
    people: float, clothes: float, noise: float = 0.4, num_groups: int = 24, seed: int = 0
) -> ClothesPictures:
    """Pictures whose embedding is a person's vector, a garment's and noise, so weighted."""
    rng = np.random.default_rng(seed)
    cells = [
        (group, person, worn, camid)
        for group in range(num_groups)
        for person in (0, 1)
        for worn in (0, 1)
        for camid in range(3)
    ]
    of_person, of_clothes = rng.normal(size=(2, num_groups, 2, DIM))
    vectors = np.array(
        [
            people * of_person[group, person] + clothes * of_clothes[group, worn] + noise * own
            for (group, person, worn, _), own in zip(cells, rng.normal(size=(len(cells), DIM)), strict=True)
        ]
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    groups, persons, worn, camids = np.array(cells).T
    return ClothesPictures(vectors.astype(np.float32), groups, persons, worn, camids)


def test_the_example_of_the_docstring_and_its_complement() -> None:
    assert clothes_share(0.9, 0.5, 0.6, 0.1) == pytest.approx(0.5625)
    # The person's share is the clothes' with both steps exchanged; together they are everything.
    assert clothes_share(0.9, 0.6, 0.5, 0.1) == pytest.approx(1 - 0.5625)


def test_a_model_that_goes_by_clothes_alone_is_lost_when_they_change() -> None:
    record = measure_clothes(design(people=0.0, clothes=1.0, num_groups=80))
    assert record.clothes_share.value == pytest.approx(1.0, abs=0.02)
    assert record.searches["ordinary"].rank1.value == 1.0
    assert record.searches["changed"].auc.value == pytest.approx(0.5, abs=0.1)
    assert record.searches["uniform"].rank1.value < 0.7


def test_a_model_that_goes_by_people_alone_does_not_notice() -> None:
    record = measure_clothes(design(people=1.0, clothes=0.0))
    assert record.clothes_share.value == pytest.approx(0.0, abs=0.02)
    for search in record.searches.values():
        assert search.rank1.value == search.mAP.value == search.auc.value == 1.0


def test_of_both_the_share_is_that_of_their_weights_and_the_interval_holds_it() -> None:
    # Cosines add up by squared weights: 1 of 1 + 3.
    record = measure_clothes(design(people=3**0.5, clothes=1.0, num_groups=60))
    share = record.clothes_share
    assert share.low < 0.25 < share.high
    assert share.value == pytest.approx(0.25, abs=0.02)
    assert share.high - share.low < 0.05
    assert (record.num_groups, record.num_pictures, record.num_cameras) == (60, 720, 3)


def test_searches_are_those_of_sklearn() -> None:
    pictures = design(people=0.3, clothes=0.5, noise=1.0, num_groups=5)
    record = measure_clothes(pictures, samples=10)
    similarity = pictures.vectors @ pictures.vectors.T
    expected: dict[str, list[list[float]]] = {"ordinary": [], "changed": [], "uniform": []}
    cells = list(zip(pictures.groups, pictures.people, pictures.clothes, pictures.camids, strict=True))
    for row, (group, person, worn, camid) in enumerate(cells):
        kept: dict[str, list[tuple[bool, float]]] = {name: [] for name in expected}
        for column, (other_group, other_person, other_worn, other_camid) in enumerate(cells):
            if other_camid == camid:
                continue
            value = float(similarity[row, column])
            if other_group != group:
                for name in kept:
                    kept[name].append((False, value))
            elif other_person == person and other_worn == worn:
                kept["ordinary"].append((True, value))
                kept["uniform"].append((True, value))
            elif other_person == person:
                kept["changed"].append((True, value))
            elif other_worn == worn:
                kept["uniform"].append((False, value))
        for name, pairs in kept.items():
            labels, values = map(np.array, zip(*pairs, strict=True))
            best = bool(labels[values.argmax()])
            expected[name].append(
                [best, average_precision_score(labels, values), roc_auc_score(labels, values)]
            )
    for name, rows in expected.items():
        search = record.searches[name]  # type: ignore[index]
        measured = [search.rank1.value, search.mAP.value, search.auc.value]
        np.testing.assert_allclose(measured, np.mean(rows, axis=0), atol=1e-6)


def test_pairs_of_one_camera_count_nowhere_and_order_does_not_matter() -> None:
    pictures = design(people=1.0, clothes=1.0)
    values = (pictures.vectors, pictures.groups, pictures.people, pictures.clothes, pictures.camids)
    # A picture twice by its camera: were the copy compared with it, they would be more alike than all others.
    order = np.random.default_rng(1).permutation(np.tile(np.arange(len(pictures.groups)), 2))
    doubled = measure_clothes(ClothesPictures(*(value[order] for value in values)), samples=10)
    record = measure_clothes(pictures, samples=10)
    for kind, interval in record.similarity.items():
        assert doubled.similarity[kind].value == pytest.approx(interval.value, abs=1e-6)
    assert doubled.clothes_share.value == pytest.approx(record.clothes_share.value, abs=1e-6)


def test_an_incomplete_design_is_refused() -> None:
    pictures = design(1.0, 1.0, num_groups=3)
    values = (pictures.vectors, pictures.groups, pictures.people, pictures.clothes, pictures.camids)
    gone = (pictures.groups == 1) & (pictures.people == 1) & (pictures.clothes == 0) & (pictures.camids > 0)
    with pytest.raises(InputError, match="group 1 needs person 1 in clothes 0 by two cameras"):
        ClothesPictures(*(value[~gone] for value in values))
    with pytest.raises(InputError, match="at least 2"):
        ClothesPictures(*(value[pictures.groups == 0] for value in values))
    with pytest.raises(ShapeError, match="camids"):
        ClothesPictures(*values[:4], pictures.camids[:-1])
