from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

import pytest
import yaml

from omnireid.core.errors import ConfigError, UnknownNameError
from omnireid.models.osnet_config import OSNetConfig
from omnireid.models.registry import architecture_config
from omnireid.training.recipe import AugmentationName, Recipe, list_recipes, load_recipe
from omnireid.training.schedule import learning_rate


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_that_comes_with_the_package_loads(name: str) -> None:
    assert load_recipe(name).name == name


def test_the_paper_recipes_say_what_the_paper_says() -> None:
    """FACTS A4, written out here a second time."""
    scratch, tuned = load_recipe("paper_scratch"), load_recipe("paper_finetune")
    assert (scratch.optimiser.name, scratch.optimiser.lr, scratch.epochs) == ("sgd", 0.065, 350)
    assert scratch.schedule.milestones == (150, 225, 300)
    assert scratch.initial_weights is None
    assert (tuned.optimiser.name, tuned.optimiser.lr, tuned.epochs) == ("amsgrad", 0.0015, 150)
    assert (tuned.frozen_epochs, tuned.schedule.milestones) == (10, (60, 120))
    for recipe in (scratch, tuned):
        assert recipe.sampler.batch_size == 64
        assert recipe.optimiser.weight_decay == 5e-4
        assert recipe.loss.label_smoothing == 0.1
        assert recipe.augmentation == ("flip", "random_erase")
        assert (recipe.input.height, recipe.input.width) == (256, 128)


def test_the_recipes_of_classes_say_what_the_paper_says() -> None:
    """FACTS A9 and A10, written out here a second time."""
    imagenet = load_recipe("imagenet")
    assert (imagenet.optimiser.lr, imagenet.sampler.batch_size, imagenet.epochs) == (0.4, 1024, 120)
    assert (imagenet.optimiser.weight_decay, imagenet.input.height, imagenet.input.width) == (4e-5, 224, 224)
    blocks = {
        "cifar10": (2, 2, 2),
        "cifar10_deep": (3, 8, 6),
        "cifar10_t1": (2, 2, 2),
        "cifar10_addition": (2, 2, 2),
    }
    streams = {"cifar10_t1": ((1,), "addition"), "cifar10_addition": ((1, 2, 3, 4), "addition")}
    for name, expected in blocks.items():
        recipe = load_recipe(name)
        config = architecture_config(recipe.model).with_overrides(recipe.model_options)
        assert isinstance(config, OSNetConfig)
        assert (config.blocks, config.stem_stride) == (expected, 1)
        assert (config.stream_depths, config.fusion) == streams.get(name, ((1, 2, 3, 4), "unified_gate"))
        assert recipe.augmentation == ("flip", "translate")
        assert (recipe.input.height, recipe.input.width) == (32, 32)


def test_the_zoo_recipes_say_what_the_reference_configurations_say() -> None:
    table = {
        "zoo_osnet_x1_0": (0.0015, 64, 150, "step", ("flip",), "euclidean"),
        "zoo_osnet_x0_75": (0.0015, 64, 150, "step", ("flip",), "euclidean"),
        "zoo_osnet_x0_5": (0.003, 128, 180, "step", ("flip",), "euclidean"),
        "zoo_osnet_x0_25": (0.003, 128, 180, "step", ("flip",), "euclidean"),
        "zoo_osnet_x1_0_cosine": (0.0015, 64, 250, "cosine", ("flip",), "euclidean"),
        "zoo_osnet_ibn_x1_0": (0.0015, 64, 150, "step", ("flip", "color_jitter"), "euclidean"),
        "zoo_osnet_ain_x1_0": (0.0015, 64, 100, "cosine", ("flip", "color_jitter"), "cosine"),
    }
    for name, expected in table.items():
        recipe = load_recipe(name)
        assert (
            recipe.optimiser.lr,
            recipe.sampler.batch_size,
            recipe.epochs,
            recipe.schedule.name,
            recipe.augmentation,
            recipe.evaluation.distance,
        ) == expected
        assert recipe.frozen_epochs == 10
        assert recipe.initial_weights == f"{recipe.model}_imagenet"


def test_the_robust_recipes_say_what_cil_says() -> None:
    """FACTS D3, last paragraph, written out here a second time."""
    robust = load_recipe("market1501-c_osnet_x1_0")
    assert {"soft_erase", "patch_mix", "augmix"} <= set(robust.augmentation)
    assert (robust.loss.consistency, robust.loss.cross_entropy, robust.loss.triplet) == (12, 1, 1)
    assert (robust.sampler.name, robust.sampler.batch_size, robust.sampler.num_instances) == ("pk", 64, 4)
    assert (robust.epochs, robust.schedule.name) == (120, "cosine")
    assert (robust.input.height, robust.input.width) == (256, 128)
    assert (robust.evaluation.distance, robust.evaluation.normalise) == ("euclidean", True)
    assert "CIL" in robust.source

    quick, plain = load_recipe("quickstart-robust"), load_recipe("quickstart")
    changed = {key for key, value in plain.model_dump().items() if quick.model_dump()[key] != value}
    assert changed == {"name", "source", "augmentation", "loss"}
    assert quick.loss.consistency == 12


def test_a_recipe_survives_being_written_and_read(tmp_path: Path) -> None:
    recipe = load_recipe("market1501-c_osnet_x1_0")
    path = tmp_path / "written.yaml"
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    assert load_recipe(path) == recipe


def test_recipes_know_every_augmentation() -> None:
    augmentation = pytest.importorskip("omnireid.data.augmentation")
    assert get_args(AugmentationName) == augmentation.AUGMENTATIONS


def test_an_unknown_key_names_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match="'optimizer', did you mean 'optimiser'"):
        load_recipe("quickstart", {"optimizer.lr": 1})
    with pytest.raises(ConfigError, match=r"'sampler\.batchsize', did you mean 'sampler\.batch_size'"):
        load_recipe("quickstart", {"sampler.batchsize": 1})


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [
        ("lr", "did you mean 'optimiser.lr'?"),
        ("learning_rate", "did you mean 'optimiser.lr'?"),
        ("batch_size", "did you mean 'sampler.batch_size'?"),
        ("batchsize", "did you mean 'sampler.batch_size'?"),
        ("sampler.lr", "did you mean 'optimiser.lr'?"),
        ("loss.name", "did you mean 'name' or 'sampler.name' or 'optimiser.name' or 'schedule.name'?"),
        ("input.heigth", "did you mean 'input.height'?"),
        ("nonsense", "known: name, source, model"),
    ],
)
def test_an_unknown_key_names_the_known_one_wherever_it_stands(key: str, suggestion: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_recipe("quickstart", {key: 1})
    assert f"unknown key {key!r}, {suggestion}" in str(refusal.value)


def test_an_unknown_recipe_names_the_nearest_known_one() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'quickstart'"):
        load_recipe("quikstart")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"epochs": "many"}, "epochs: .*integer"),
        ({"loss.triplet": 1.0}, "set sampler.name to pk"),
        ({"loss.cross_entropy": 0.0}, "nothing would be learned"),
        ({"frozen_epochs": 1000}, "leave none of"),
        ({"loss.consistency": 12.0}, "add augmix to augmentation, or set loss.consistency to 0"),
        (
            {
                "loss": {"consistency": 12.0, "cross_entropy": 0.0, "triplet": 1.0},
                "sampler.name": "pk",
                "augmentation": ["augmix"],
            },
            "a cross_entropy weight of 0 leaves untrained",
        ),
        ({"loss.consistency": -1.0}, "loss.consistency"),
        ({"augmentation": ["random_erase", "soft_erase"]}, "choose one"),
        ({"augmentation": ["augmixx"]}, "'coarsen', 'levels', 'sharpen', 'trivial_augment', 'augmix'"),
        ({"sampler": {"name": "pk", "batch_size": 10, "num_instances": 4}}, "no multiple"),
        ({"optimiser.lr": -1}, "optimiser.lr"),
        ({"name.x": 1}, "'name' has no keys below it"),
    ],
)
def test_values_that_cannot_train_are_refused(overrides: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe("quickstart", overrides)


def test_a_file_extends_a_recipe_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("extends: paper_scratch\noptimiser: {lr: 0.01}\n")
    recipe, parent = load_recipe(tmp_path / "mine.yaml"), load_recipe("paper_scratch")
    assert recipe.name == "mine"
    assert recipe.optimiser.lr == 0.01
    assert recipe.optimiser.momentum == parent.optimiser.momentum
    assert recipe.schedule == parent.schedule


def test_files_that_are_no_recipes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n")
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "broken.yaml").write_text("model: [\n")
    for name, message in (
        ("a", "extends itself"),
        ("list", "expected keys"),
        ("broken", "not valid YAML"),
        ("missing", "no such file"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_recipe(tmp_path / f"{name}.yaml")


def _recipe(**schedule: object) -> Recipe:
    return load_recipe("paper_finetune", {"optimiser.lr": 1.0, "schedule": schedule, "epochs": 100})


def test_step_schedule_falls_at_each_milestone() -> None:
    recipe = _recipe(name="step", milestones=[30, 60], gamma=0.1)
    rates = [learning_rate(recipe, epoch) for epoch in (0, 29.9, 30, 59, 60, 99)]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_cosine_schedule_follows_the_closed_form_by_epoch_or_by_step() -> None:
    by_epoch = _recipe(name="cosine")
    by_step = _recipe(name="cosine", interval="step")
    assert learning_rate(by_epoch, 50.5) == pytest.approx(0.5)
    assert learning_rate(by_step, 50.5) == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.505)))
    assert learning_rate(by_epoch, 100) == pytest.approx(0)


def test_warmup_rises_linearly_to_the_full_rate() -> None:
    recipe = _recipe(name="step", warmup_epochs=10, warmup_factor=0.2)
    assert [learning_rate(recipe, epoch) for epoch in (0, 5, 10)] == pytest.approx([0.2, 0.6, 1.0])


def test_schedules_equal_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    for recipe, build in (
        (_recipe(name="cosine"), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 100)),
        (
            _recipe(name="step", milestones=[20, 70]),
            lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [20, 70], gamma=0.1),
        ),
    ):
        optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        scheduler = build(optimiser)
        for epoch in range(100):
            assert learning_rate(recipe, epoch) == pytest.approx(optimiser.param_groups[0]["lr"], abs=1e-9)
            optimiser.step()
            scheduler.step()
