"""From a similarity to "same", "new" or "unsure", as far as there is a calibration of the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omnireid.core.errors import InputError
from omnireid.evaluation.calibration import Calibration, Decision
from omnireid.gallery.generations import ModelRef
from omnireid.gallery.store import Float32

NO_CALIBRATION = (
    "Scores only: there is no calibration of this model, so nobody can say what they mean. "
    "Make one with 'omnireid calibrate' and open the gallery with it."
)
OTHER_CALIBRATION = (
    "Scores only: the calibration at hand is of another model. "
    "Make one of the gallery's with 'omnireid calibrate' and open the gallery with it."
)
NO_RATE = "Probabilities only: the calibration could measure no false-alarm rate; calibrate on more people."


@dataclass(frozen=True)
class Judge:
    """What scores of one model mean.

    Attributes:
        calibration: of the model; None where there are scores only.
        rate: false-alarm rate of the decisions, for one comparison with a stranger; None without decisions.
        prior: share of comparisons that are of one person, before the score is known.
        note: why there are scores only; "" where there is nothing to say.
    """

    calibration: Calibration | None
    rate: float | None
    prior: float
    note: str

    @classmethod
    def of(
        cls,
        calibration: Calibration | None,
        model: ModelRef,
        *,
        false_alarm_rate: float | None = None,
        prior: float = 0.5,
    ) -> Judge:
        """For one model.

        Args:
            calibration: at hand; left aside where it is of another model.
            false_alarm_rate: one that the calibration holds; by default the lowest that could be measured.
            prior: 0.5 as in `omnireid verify`; where N strangers and the right person are looked through,
                1 / (N + 1) is the honest one.

        Raises:
            InputError: a rate or prior asked for without a calibration, or that cannot be used.
        """
        if not 0 < prior < 1:
            raise InputError(f"prior: must lie between 0 and 1, got {prior}")
        if calibration is not None and calibration.record.model.sha256 == model.sha256:
            try:
                return cls(calibration, calibration.false_alarm(false_alarm_rate).wanted, prior, "")
            except InputError:
                if false_alarm_rate is not None:
                    raise
                return cls(calibration, None, prior, NO_RATE)
        note = NO_CALIBRATION if calibration is None else OTHER_CALIBRATION
        if false_alarm_rate is not None or prior != 0.5:
            raise InputError(f"false_alarm_rate, prior: need a calibration. {note}")
        return cls(None, None, prior, note)

    @property
    def whitens(self) -> bool:
        """Whether scores are of other vectors than the stored ones."""
        return self.calibration is not None and self.calibration.whitening is not None

    def vectors(self, embeddings: Float32) -> Float32:
        """(N, D) of unit norm → (N, D) whose dot products are the scores."""
        return embeddings if self.calibration is None else self.calibration.transform(embeddings)

    def probabilities(self, scores: npt.NDArray[np.floating]) -> list[float | None]:
        """That two pictures with such a score are of one person; None without a calibration."""
        if self.calibration is None:
            return [None] * len(scores)
        return [float(one) for one in self.calibration.probability(scores, prior=self.prior)]

    def decision(self, score: float) -> Decision | None:
        """Of one score; None without a calibration that could measure a false-alarm rate."""
        if self.calibration is None or self.rate is None:
            return None
        return self.calibration.decide(score, rate=self.rate)

    def decision_of_none(self) -> Decision | None:
        """Where there was nobody to compare with: new."""
        return None if self.calibration is None or self.rate is None else Decision.NEW
