"""A calibration: what a similarity score of one model means, as a small JSON file beside the model.

Score → probability, and thresholds for wanted error rates, with everything they depend on. It belongs to one
model file by its SHA-256 and refuses any other: the same score means something else there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, PlainSerializer, ValidationError

from omnireid.core.arrays import Bool, Float32, Float64
from omnireid.core.card import ModelRef
from omnireid.core.closed import ClosedModel
from omnireid.core.display import short_repr
from omnireid.core.errors import InputError
from omnireid.core.files import write_bytes, write_text
from omnireid.core.record import EnvironmentRecord
from omnireid.core.seeds import numpy_generator
from omnireid.core.vectors import unit_rows
from omnireid.evaluation.calibration_pairs import CalibrationPairs
from omnireid.evaluation.calibrators import (
    IsotonicMap,
    LogisticMap,
    ReliabilityBin,
    ScoreMap,
    at_prior,
    expected_calibration_error,
    fit_isotonic,
    fit_logistic,
    log_loss,
    reliability,
)
from omnireid.evaluation.options import CalibrationOptions
from omnireid.evaluation.searches import SearchModel
from omnireid.evaluation.thresholds import ErrorThreshold, error_thresholds
from omnireid.evaluation.whitening import Whitening

_HALVINGS = 5
_LEAST_PEOPLE = 4


EVEN = 0.5
"""Share of pairs that are of one person, where nothing else is known of them."""


def calibration_path(weights: str | os.PathLike[str]) -> Path:
    """Where the calibration of a model file lies: beside it, as `<its name>.calibration.json`."""
    return Path(f"{os.fspath(weights)}.calibration.json")


def find_calibration(
    weights: str | os.PathLike[str], given: str | os.PathLike[str] | None = None
) -> Path | None:
    """The calibration to use with a model file: the given one, else the one beside it; None where none is.

    Args:
        weights: The model file (`inference.lookup.find_weights`).
        given: The file that the user named, whether it exists or not.
    """
    if given is not None:
        return Path(given)
    beside = calibration_path(weights)
    return beside if beside.is_file() else None


class Decision(str, Enum):
    """What a score means at a wanted false-alarm rate."""

    SAME = "same"
    NEW = "new"
    UNSURE = "unsure"


def _model_of(record: object) -> object:
    """A model as the file has it."""
    if isinstance(record, dict) and record.keys() == {"name", "sha256", "embedding_size"}:
        return ModelRef(record["name"], record["sha256"], record["embedding_size"])
    return record


def _record_of(model: ModelRef) -> dict[str, object]:
    return {"name": model.name, "sha256": model.sha256, "embedding_size": model.dim}


CalibratedModel = Annotated[ModelRef, BeforeValidator(_model_of), PlainSerializer(_record_of)]
"""The model that a calibration belongs to."""


class CalibrationSource(ClosedModel):
    """The data behind a calibration.

    Attributes:
        kind: "labelled" pictures, or unlabelled "tracklets".
        name, root, split: those of the dataset; of tracklets "tracklets", the folder or table, and "".
        protocol: which same-person pairs counted.
        pictures, people, cameras: used for pairs; of tracklets, each counts as one person.
        same_pairs, different_pairs, couples: drawn pairs, and couples of two people among them.
        seed: seed of the draws.
    """

    kind: Literal["labelled", "tracklets"]
    name: str
    root: str
    split: str
    protocol: str
    pictures: int
    people: int
    cameras: int
    same_pairs: int
    different_pairs: int
    couples: int
    seed: int


class WhiteningRecord(ClosedModel):
    """The file beside the JSON that holds a `Whitening`."""

    kind: Literal["centre", "zca"]
    file: str
    sha256: str
    shrinkage: float
    num_people: int


class CalibrationRecord(ClosedModel):
    """What the JSON file holds.

    Attributes:
        score: what is calibrated: "cosine" of two embeddings, whitened first where there is a whitening.
        mapping: score → probability at a prior of one half.
        held_out_log_loss: log loss of each kind of mapping on people it was not fitted on; the lower was
            chosen.
        calibration_error: expected calibration error of the chosen kind, on those people, over `reliability`.
        reliability: fifteen bins of equal width.
        false_alarms: threshold for each wanted rate, in the order they were asked for.
        miss: threshold below which two pictures are taken for two people.
        search: the certainty of searches; null where too few people were known to be the same and different.
    """

    schema_version: Literal[1] = 1
    model: CalibratedModel
    score: Literal["cosine"] = "cosine"
    mapping: ScoreMap
    held_out_log_loss: dict[str, float]
    calibration_error: float
    reliability: tuple[ReliabilityBin, ...]
    false_alarms: tuple[ErrorThreshold, ...]
    miss: ErrorThreshold
    search: SearchModel | None = None
    source: CalibrationSource
    whitening: WhiteningRecord | None = None
    environment: EnvironmentRecord

    __repr__ = __str__ = short_repr


@dataclass(frozen=True, eq=False)
class Calibration:
    """Scores of one model, and what they mean.

    ```python
    calibration = Calibration.load("model.onnx.calibration.json", embedder.sha256)
    a, b = calibration.transform(embedder.embed([crop_a, crop_b]))
    calibration.probability(a @ b), calibration.decide(a @ b)
    ```
    """

    record: CalibrationRecord
    whitening: Whitening | None = None

    __repr__ = short_repr

    def transform(self, embeddings: Float32) -> Float32:
        """(N, D) embeddings of the model, normalised or not → (N, D) whose dot products are the scores.

        Raises:
            ShapeError, InputError: embeddings of another size; a row without direction.
        """
        return unit_rows(embeddings) if self.whitening is None else self.whitening.apply(embeddings)

    def probability(self, scores: npt.ArrayLike, *, prior: float = EVEN) -> Float64:
        """Probability that a pair with this score is of one person; the shape of `scores`, float64.

        Args:
            prior: share of such pairs that are of one person, before the score is known. With a gallery of
                N strangers and one right answer it is 1/(N + 1), not one half.

        Raises:
            InputError: a prior that is not between 0 and 1.
        """
        return at_prior(self.record.mapping.probability(scores), prior)

    def false_alarm(self, rate: float | None = None) -> ErrorThreshold:
        """The threshold for a wanted false-alarm rate; by default the lowest that could be measured.

        Raises:
            InputError: a rate that was not asked for when calibrating, or that the data cannot show.
        """
        known = self.record.false_alarms
        if rate is None:
            measured = [alarm for alarm in known if alarm.is_measurable]
            if not measured:
                raise InputError(
                    f"this calibration could measure none of its false-alarm rates with "
                    f"{known[0].num_units:,} couples of people; calibrate on more"
                )
            return min(measured, key=lambda alarm: alarm.wanted)
        for alarm in known:
            if abs(alarm.wanted - rate) <= 1e-9 * rate:
                if not alarm.is_measurable:
                    raise InputError(
                        f"false-alarm rate {rate:g}: not measurable with {alarm.num_units:,} couples of "
                        f"people (at least {1 / rate:,.0f} are needed); calibrate on more"
                    )
                return alarm
        rates = ", ".join(f"{alarm.wanted:g}" for alarm in known)
        raise InputError(
            f"false-alarm rate {rate:g}: this calibration holds {rates}; calibrate again with that rate"
        )

    def decide(self, score: float, *, rate: float | None = None) -> Decision:
        """Same person, another one, or unsure.

        - SAME: from the threshold of the wanted false-alarm rate on.
        - NEW: below it, and below the miss threshold, which few pairs of one person are. Never said where
          the miss rate could not be measured.
        - UNSURE: between the two. Empty where the scores are separated well enough.

        Args:
            score: similarity of a pair, from `transform`.
            rate: as for `false_alarm`.
        """
        if score >= self._same_from(rate):
            return Decision.SAME
        new_below = self.record.miss.threshold
        return Decision.NEW if new_below is not None and score < new_below else Decision.UNSURE

    def _same_from(self, rate: float | None) -> float:
        threshold = self.false_alarm(rate).threshold
        assert threshold is not None
        return threshold

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the JSON, and before it the whitening beside it, each atomically.

        Raises:
            StorageError: the folder cannot be written.
        """
        target, record = Path(path), self.record
        if self.whitening is not None:
            from safetensors.numpy import save

            arrays = {"mean": self.whitening.mean}
            if self.whitening.matrix is not None:
                arrays["matrix"] = self.whitening.matrix
            content = save(arrays)
            file = f"{target.name.removesuffix('.json')}.whitening.safetensors"
            whitening = WhiteningRecord(
                kind=self.whitening.kind,
                file=file,
                sha256=hashlib.sha256(content).hexdigest(),
                shrinkage=self.whitening.shrinkage,
                num_people=self.whitening.num_people,
            )
            write_bytes(target.with_name(file), content)
            record = record.model_copy(update={"whitening": whitening})
        write_text(target, record.model_dump_json(indent=2) + "\n")
        return target

    @classmethod
    def load(cls, path: str | os.PathLike[str], model_sha256: str | None) -> Calibration:
        """Read a calibration for one model.

        Args:
            model_sha256: hash of the model file that is in use (`Embedder.sha256`).

        Raises:
            InputError: missing, not a calibration, damaged, or made for another model.
        """
        file = Path(path)
        try:
            record = CalibrationRecord.model_validate_json(file.read_bytes())
        except FileNotFoundError as error:
            raise InputError(f"{file}: no such calibration; make one with 'omnireid calibrate'") from error
        except OSError as error:
            raise InputError(f"{file}: cannot be read ({error.strerror or error})") from error
        except ValidationError as error:
            raise InputError(f"{file}: not a calibration of this version: {error}") from error
        if record.model.sha256 != model_sha256:
            raise InputError(
                f"{file}: made for {record.model}, not for the model in "
                f"use ({model_sha256[:12] if model_sha256 else 'never saved'}); a score means something "
                "else. Run 'omnireid calibrate' with this model"
            )
        return cls(record, None if record.whitening is None else _read_whitening(file, record))

    @classmethod
    def load_beside(
        cls,
        weights: str | os.PathLike[str],
        model_sha256: str | None,
        given: str | os.PathLike[str] | None = None,
    ) -> Calibration | None:
        """Read the calibration that `find_calibration` names; None where a model has none.

        Raises:
            InputError: as `load`.
        """
        path = find_calibration(weights, given)
        return None if path is None else cls.load(path, model_sha256)


def fit_calibration(
    scores: Float64,
    pairs: CalibrationPairs,
    *,
    model: ModelRef,
    source: CalibrationSource,
    whitening: Whitening | None = None,
    search: SearchModel | None = None,
    options: CalibrationOptions = CalibrationOptions(),
) -> Calibration:
    """Fit both mappings, keep the one with the lower held-out log loss, and find the thresholds.

    People, never pairs, are held out: five times they are split into halves at random, each half is fitted
    and scored on the other. Calibration error and reliability come from these scores; the mapping that is
    kept is fitted on everybody.

    Args:
        scores: (P,) float64; cosine of each pair, after `whitening` where there is one.
        pairs: the people they show.
        model, source: kept for the record.
        search: the certainty of searches, from `search_fitting.fit_searches` on the same people.
        options: The wanted error rates, and the seed of the halves and the bootstrap.

    Raises:
        InputError: too few people, or scores that tell nobody apart.
    """
    seed = options.seed
    held_out = _held_out(scores, pairs, seed)
    losses = {
        kind: float(np.mean([log_loss(p, same) for p, same in folds])) for kind, folds in held_out.items()
    }
    kind = min(losses, key=lambda name: losses[name])
    probabilities, same = (np.concatenate(column) for column in zip(*held_out[kind], strict=True))
    bins = reliability(probabilities, same)
    record = CalibrationRecord(
        model=model,
        mapping=_FITS[kind](scores, pairs),
        held_out_log_loss=losses,
        calibration_error=expected_calibration_error(bins),
        reliability=bins,
        false_alarms=error_thresholds("false-alarm", scores, pairs, options.false_alarm_rates, seed=seed),
        miss=error_thresholds("miss", scores, pairs, (options.miss_rate,), seed=seed)[0],
        search=search,
        source=source,
        environment=EnvironmentRecord.capture(),
    )
    return Calibration(record, whitening)


def _logistic(scores: Float64, pairs: CalibrationPairs) -> LogisticMap:
    return fit_logistic(scores, pairs.same, num_people=pairs.num_people, num_couples=pairs.num_couples)


def _isotonic(scores: Float64, pairs: CalibrationPairs) -> IsotonicMap:
    return fit_isotonic(scores, pairs.same, num_people=pairs.num_people, num_couples=pairs.num_couples)


_FITS: dict[str, Callable[[Float64, CalibrationPairs], LogisticMap | IsotonicMap]] = {
    "logistic": _logistic,
    "isotonic": _isotonic,
}


def _held_out(scores: Float64, pairs: CalibrationPairs, seed: int) -> dict[str, list[tuple[Float64, Bool]]]:
    """For each kind of mapping: predictions for people it was not fitted on, and what was true."""
    people, folds = np.unique(pairs.people), []
    for halving in range(_HALVINGS):
        order = numpy_generator(seed, "halves", halving).permutation(people)
        halves = [pairs.among(half) for half in np.array_split(order, 2)]
        if all(0 < pairs.same[half].sum() < half.sum() for half in halves):
            folds += [halves, halves[::-1]]
    if len(people) < _LEAST_PEOPLE or not folds:
        raise InputError(
            f"calibration: {len(people)} people with pairs are too few to hold half of them out; "
            "add people who were seen at least twice"
        )
    held_out: dict[str, list[tuple[Float64, Bool]]] = {kind: [] for kind in _FITS}
    for fitted, held in folds:
        known, truth = pairs.select(fitted), pairs.same[held]
        for kind, fit in _FITS.items():
            held_out[kind].append((fit(scores[fitted], known).probability(scores[held]), truth))
    return held_out


def _read_whitening(file: Path, record: CalibrationRecord) -> Whitening:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    assert record.whitening is not None
    stated = record.whitening
    beside = file.with_name(Path(stated.file).name)
    try:
        content = beside.read_bytes()
    except OSError as error:
        raise InputError(
            f"{beside}: the whitening that {file.name} needs cannot be read ({error.strerror or error}); "
            "keep the two files together"
        ) from error
    if hashlib.sha256(content).hexdigest() != stated.sha256:
        raise InputError(f"{beside}: not the whitening that {file.name} was made with; calibrate again")
    try:
        arrays = load(content)
        whitening = Whitening(arrays["mean"], arrays.get("matrix"), stated.shrinkage, stated.num_people)
    except (SafetensorError, KeyError) as error:
        raise InputError(f"{beside}: damaged ({error})") from error
    if len(whitening.mean) != record.model.dim:
        raise InputError(f"{beside}: for embeddings of {len(whitening.mean)} values")
    return whitening
