"""What cannot be scored is known before the first batch, from names alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from omnireid.core.errors import DatasetError, InputError
from omnireid.core.options import Protocol
from omnireid.core.record import (
    DatasetRecord,
    EnvironmentRecord,
    MetricsRecord,
    ModelRecord,
    ProtocolRecord,
    ResultRecord,
    RobustnessRecord,
)
from omnireid.core.types import Dataset, Sample, Split
from omnireid.data.datasets import read_dataset
from omnireid.experiment.evaluation import check_replaceable, check_scorable
from omnireid.experiment.run import main_job
from omnireid.experiment.training import train_on
from omnireid.models.cards import model_card
from omnireid.models.registry import build_model
from omnireid.models.weights import load_weights, save_weights
from omnireid.training.options import RunOptions
from omnireid.training.recipe import Recipe, load_recipe

TINY = {"input": {"height": 64, "width": 32}, "sampler.batch_size": 12, "epochs": 2}


def recipe(**overrides: object) -> Recipe:
    return load_recipe("quickstart", {**TINY, **{key.replace("__", "."): v for key, v in overrides.items()}})


def split(name: str, *people: tuple[int, int]) -> Split:
    """Pictures that do not exist, of (pid, camid): whoever opens one fails."""
    return Split(name, tuple(Sample(f"/nowhere/{name}{i}.jpg", *person) for i, person in enumerate(people)))


def result_record(sha256: str) -> ResultRecord:
    model = ModelRecord(
        name="m", architecture="osnet_x1_0", source="", sha256=sha256, backend="", input_size=(256, 128),
        embedding_size=512,
    )  # fmt: skip
    protocol = ProtocolRecord(
        name="market1501", distance="euclidean", normalised=False, num_queries=2, num_valid_queries=2,
        num_gallery=2,
    )  # fmt: skip
    return ResultRecord(
        dataset=DatasetRecord(name="people", root="/nowhere", splits={}),
        model=model,
        protocol=protocol,
        metrics=MetricsRecord(rank1=1, rank5=1, rank10=1, rank20=1, mAP=1, mINP=1),
        cmc=(1.0,),
        seed=0,
        environment=EnvironmentRecord.capture(),
    )


def dataset(query: Split, gallery: Split, protocol: Protocol = Protocol.MARKET1501) -> Dataset:
    train = split("train", *[(pid, camid) for pid in range(6) for camid in range(4)])
    return Dataset("people", "/nowhere", train, query, gallery, protocol)


ONE_CAMERA = dataset(split("query", (7, 0), (8, 0)), split("gallery", (7, 0), (8, 0)))
UNSCORABLE = {
    "one camera": (ONE_CAMERA, "2 meet their person only in their own camera"),
    "nobody in common": (dataset(split("query", (7, 0)), split("gallery", (8, 1))), "that the gallery lacks"),
    "junk only": (dataset(split("query", (-1, 0)), split("gallery", (-1, 1))), "that the gallery lacks"),
    "no query": (dataset(split("query"), split("gallery", (7, 1))), "no pictures for query"),
    "neither": (dataset(split("query"), split("gallery")), "no pictures for query and gallery"),
    "no cameras": (dataset(split("query", (7, -1)), split("gallery", (7, -1))), "has no camera"),
    "its own file": (
        dataset(split("people", (7, 0)), split("people", (7, 0)), Protocol.NO_CAMERA),
        "are the only picture of their person",
    ),
}  # fmt: skip
SCORABLE = dataset(split("query", (7, 0), (8, 0)), split("gallery", (7, 1), (9, 1)))


@pytest.mark.parametrize(("unscorable", "message"), UNSCORABLE.values(), ids=UNSCORABLE)
def test_what_cannot_be_scored_is_refused_before_a_picture_is_read(
    unscorable: Dataset, message: str, tmp_path: Path
) -> None:
    for job in (
        lambda: train_on(recipe(evaluation__every=1), unscorable, tmp_path / "run"),
        lambda: train_on(
            recipe(evaluation__every=1), unscorable, tmp_path / "run", targets=[SCORABLE, unscorable]
        ),
        lambda: main_job(recipe(), unscorable, tmp_path / "run"),
        lambda: main_job(recipe(), unscorable, tmp_path / "run", targets=[SCORABLE, unscorable]),
    ):
        with pytest.raises((DatasetError, InputError), match=message):
            job()
    assert not (tmp_path / "run").exists()


def test_what_can_be_scored_passes() -> None:
    check_scorable(SCORABLE)
    check_scorable(replace(ONE_CAMERA, protocol=Protocol.NO_CAMERA))
    # Only the very last of many queries has a match.
    many = [(pid, 0) for pid in range(1000)]
    check_scorable(dataset(split("query", *many), split("gallery", (999, 1))))


def test_training_alone_asks_for_nothing_to_score(toy_root: Path, tmp_path: Path) -> None:
    train_only = replace(
        read_dataset("market-layout", toy_root), query=split("query"), gallery=split("gallery")
    )
    train_on(recipe(epochs=1), train_only, tmp_path / "run")
    with pytest.raises(DatasetError, match=r"--set evaluation\.every=0 trains without"):
        train_on(recipe(epochs=2, evaluation__every=1), train_only, tmp_path / "run", RunOptions(resume=True))


def test_the_record_names_the_best_epoch_and_the_data_that_chose_it(toy_root: Path, tmp_path: Path) -> None:
    toy = read_dataset("market-layout", toy_root)
    (result,) = main_job(recipe(evaluation__every=1), toy, tmp_path)
    training = ResultRecord.load(result.files.record).training
    assert training is not None
    assert training.best is not None
    values = [row["mAP"] for row in training.history]
    assert (training.best.epoch, training.best.value) == (1 + values.index(max(values)), max(values))
    assert training.best.evaluated_on == "market-layout (query and gallery, cosine distance)"
    _, card = load_weights(tmp_path / "best.safetensors")
    assert f"epoch {training.best.epoch}, mAP {max(values):.3f} on market-layout" in card.notes
    with pytest.raises(InputError, match="belongs to the training run in this folder"):
        check_replaceable(tmp_path, None, corruptions=False)


def test_another_network_answers_the_same_queries_beside_the_trained_one(
    toy_root: Path, tmp_path: Path
) -> None:
    toy = read_dataset("market-layout", toy_root)
    other = tmp_path / "other.safetensors"
    save_weights(other, build_model("osnet_x0_25"), model_card("osnet_x0_25"))
    (result,) = main_job(recipe(epochs=1), toy, tmp_path / "run", beside=[str(other)])
    (beside,) = result.beside
    assert beside.report == tmp_path / "run" / "osnet_x0_25" / "report.html"
    assert ResultRecord.load(beside.report.with_name("result.json")).metrics == beside.record.metrics
    assert beside.record.model.sha256 not in (None, result.record.model.sha256)
    assert beside.record.protocol == result.record.protocol
    page = result.files.report.read_text()
    assert '<a href="osnet_x0_25/report.html">osnet_x0_25</a>' in page
    row = page[page.index('<a href="osnet_x0_25/report.html">') :].split("</tr>")[0]
    assert row.count('<td class="n">') == len(beside.record.metrics.by_metric())


def test_a_corruption_benchmark_is_replaced_only_by_one_of_the_same_model(tmp_path: Path) -> None:
    check_replaceable(tmp_path, "b" * 64, corruptions=False)
    plain = result_record(sha256="a" * 64)
    plain.save(tmp_path / "result.json")
    check_replaceable(tmp_path, "b" * 64, corruptions=False)
    robustness = RobustnessRecord(benchmark="people-C", rounds=10, seed=0, conditions={})
    plain.model_copy(update={"robustness": robustness}).save(tmp_path / "result.json")
    check_replaceable(tmp_path, "a" * 64, corruptions=True)
    for sha256, corruptions in (("a" * 64, False), ("b" * 64, True), (None, True)):
        with pytest.raises(InputError, match="holds a corruption benchmark of m; choose another --out"):
            check_replaceable(tmp_path, sha256, corruptions=corruptions)
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(InputError, match="not a result record"):
        check_replaceable(tmp_path, "a" * 64, corruptions=False)
