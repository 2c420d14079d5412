"""From similarities to "same", "new" or "unsure", as far as there is a calibration of the model.

`Judge` is of two pictures; `SearchJudge` of a search through many people, whose answers exclude each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import AnyFloat, Bool, Float32, Float64
from omnireid.core.card import ModelRef
from omnireid.core.errors import InputError
from omnireid.evaluation.calibration import EVEN, Calibration, Decision
from omnireid.evaluation.searches import PRIOR, Posterior, SearchModel, SearchRate
from omnireid.evaluation.whitening import unit_cosines
from omnireid.gallery.questions import USUAL, Question

NO_CALIBRATION = (
    "Scores only: there is no calibration of this model, so nobody can say what they mean. "
    "Make one with 'omnireid calibrate' and open the gallery with it."
)
OTHER_CALIBRATION = (
    "Scores only: the calibration at hand is of another model. "
    "Make one of the gallery's with 'omnireid calibrate' and open the gallery with it."
)
NO_RATE = "Probabilities only: the calibration could measure no false-alarm rate; calibrate on more people."
NO_SEARCHES = (
    "Scores only: the calibration knows pairs of pictures, but no searches. Make it again with "
    "'omnireid calibrate', on at least 20 people who were seen twice."
)


@dataclass(frozen=True)
class _Scores:
    """Scores of one model.

    Attributes:
        calibration: calibration of the model; None where there are scores only.
        prior: the probability, before the picture is looked at, that both of two pictures are of one person,
            or that the person of a search is in the gallery at all.
        note: why there are scores only; "" where there is nothing to say.
    """

    calibration: Calibration | None
    prior: float
    note: str

    @property
    def whitens(self) -> bool:
        """Whether scores are of other vectors than the stored ones."""
        return self.calibration is not None and self.calibration.whitening is not None

    def vectors(self, embeddings: Float32) -> Float32:
        """(N, D) of unit norm → (N, D) whose dot products are the scores."""
        return embeddings if self.calibration is None else self.calibration.transform(embeddings)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How alike two pictures are, and what that means.

    Attributes:
        score: Similarity; larger is closer.
        probability: That both are of one person; None without a calibration.
        decision: None without a calibration that could measure a false-alarm rate.
        calibrated: Whether there is a calibration of the model.
        note: Why there are scores only; "" where there is nothing to say.
    """

    score: float
    probability: float | None
    decision: Decision | None
    calibrated: bool
    note: str


@dataclass(frozen=True)
class Judge(_Scores):
    """What scores of one model mean.

    Attributes:
        rate: false-alarm rate of the decisions, for one comparison with a stranger; None without.
    """

    rate: float | None

    @classmethod
    def of(
        cls,
        calibration: Calibration | None,
        model: ModelRef,
        *,
        false_alarm_rate: float | None = None,
        prior: float | None = None,
    ) -> Judge:
        """For one model.

        Args:
            calibration: calibration at hand; left aside where it is of another model.
            false_alarm_rate: one that the calibration holds; by default the lowest that could be measured.
            prior: share of such pairs that are of one person; by default one half.

        Raises:
            InputError: a rate or prior asked for without a calibration, or that cannot be used.
        """
        is_asked = false_alarm_rate is not None or prior is not None
        prior = EVEN if prior is None else prior
        if not 0 < prior < 1:
            raise InputError(f"prior: must lie between 0 and 1, got {prior}")
        if calibration is not None and calibration.record.model.sha256 == model.sha256:
            try:
                return cls(calibration, prior, "", calibration.false_alarm(false_alarm_rate).wanted)
            except InputError:
                if false_alarm_rate is not None:
                    raise
                return cls(calibration, prior, NO_RATE, None)
        note = NO_CALIBRATION if calibration is None else OTHER_CALIBRATION
        if is_asked:
            raise InputError(f"false_alarm_rate, prior: need a calibration. {note}")
        return cls(None, prior, note, None)

    def compare(self, first: Float32, second: Float32) -> Comparison:
        """What two embeddings say: (D,) float32 of unit norm each."""
        a, b = self.vectors(np.stack([first, second]))
        score = float(unit_cosines(a[None], b)[0])
        if self.calibration is None:
            return Comparison(score, None, None, False, self.note)
        probability = float(self.calibration.probability(np.array([score]), prior=self.prior)[0])
        decision = None if self.rate is None else self.calibration.decide(score, rate=self.rate)
        return Comparison(score, probability, decision, True, self.note)


@dataclass(frozen=True)
class Crowd:
    """Whom a search goes through.

    Attributes:
        people: different people as far as known.
        items: their pictures.
    """

    people: int
    items: int

    @property
    def pictures(self) -> float:
        """Of each person, on average; 1 at least."""
        return max(1.0, self.items / max(self.people, 1))


@dataclass(frozen=True)
class Verdict:
    """What a search means.

    Attributes:
        posterior: probabilities of the people in question, of nobody and of everybody else.
        decisions: decision of each of the people; None without a measured false-alarm rate.
        decision: decision of the search.
        rate: the threshold behind them, and what was measured of it; None likewise.
        measured_people: N of that measurement.
        is_extrapolated: whether the search went through more people than could be measured.
    """

    posterior: Posterior
    decisions: tuple[Decision | None, ...]
    decision: Decision | None
    rate: SearchRate | None
    measured_people: int | None
    is_extrapolated: bool


@dataclass(frozen=True)
class SearchJudge(_Scores):
    """What a search with one model's scores means.

    Attributes:
        model: the certainty of searches; None where there are scores only.
        wanted: share of searches for strangers that may end in "same"; None without decisions.
    """

    model: SearchModel | None
    wanted: float | None

    @classmethod
    def of(
        cls,
        calibration: Calibration | None,
        model: ModelRef,
        question: Question = USUAL,
    ) -> SearchJudge:
        """For one model.

        Args:
            calibration: calibration at hand; left aside where it is of another model.
            question: With the false-alarm rate, by default 1 % (`SearchModel.usual_rate`), and the prior, by
                default the one that the rates were measured with.

        Raises:
            InputError: a rate or prior asked for without a calibration, or a rate that it could not measure.
        """
        pairs = Judge.of(calibration, model)
        false_alarm_rate = question.false_alarm_rate
        prior = PRIOR if question.prior is None else question.prior
        known = pairs.calibration
        searches = None if known is None else known.record.search
        if searches is None:
            note = pairs.note if known is None else NO_SEARCHES
            if false_alarm_rate is not None or question.prior is not None:
                raise InputError(f"false_alarm_rate, prior: need a calibration of searches. {note}")
            return cls(known, prior, note, None, None)
        rates = searches.measured_rates
        if false_alarm_rate is not None and not any(math.isclose(rate, false_alarm_rate) for rate in rates):
            held = ", ".join(f"{rate:g}" for rate in rates) or "none"
            raise InputError(
                f"false_alarm_rate {false_alarm_rate:g}: of searches, this calibration holds {held}; "
                "calibrate again with this one among the false_alarm_rates (--false-alarm-rate), on "
                f"{1 / max(false_alarm_rate, 1e-9):,.0f} people at least"
            )
        wanted = searches.usual_rate if false_alarm_rate is None else false_alarm_rate
        return cls(known, prior, "" if wanted is not None else NO_RATE, searches, wanted)

    def are_alike(self, scores: AnyFloat) -> Bool:
        """Whether pairs of stored pictures with such scores are taken for one person.

        At the strictest rate of comparisons that the calibration could measure: many are compared, and nobody
        looks at each.
        """
        measured = [] if self.calibration is None else self.calibration.record.false_alarms
        thresholds = [alarm.threshold for alarm in measured if alarm.threshold is not None]
        return scores >= max(thresholds, default=np.inf)

    def verdict(
        self,
        scores: AnyFloat,
        crowd: Crowd,
        unseen_below: float | None,
        ruled_out: npt.ArrayLike = (),
        evidence: Float64 | None = None,
    ) -> Verdict | None:
        """Of the best scores of some people, the best first; None without a calibration of searches.

        "Same" is said of the likeliest person where the probability reaches the threshold of the wanted rate,
        at the prior at hand and at one half: the rate was measured there, and a verdict never says more than
        the number beside it.

        Args:
            scores: (M,), falling.
            crowd: everybody who was searched through.
            unseen_below: the scores of the others lie below; None where there are no others.
            ruled_out: scores of pictures of somebody who is known to be none of them.
            evidence: (M,) what else speaks for each of them, as `Posterior.given` takes it.
        """
        if self.model is None:
            return None
        num_people = max(crowd.people, len(scores)) if unseen_below is not None else len(scores)

        def at(prior: float) -> Posterior:
            assert self.model is not None
            posterior = self.model.posterior(
                scores,
                num_people,
                prior=prior,
                pictures=crowd.pictures,
                unseen_below=unseen_below,
                ruled_out=ruled_out,
            )
            return posterior if evidence is None else posterior.given(evidence)

        posterior, neutral = at(self.prior), at(PRIOR)
        if self.wanted is None:
            return Verdict(posterior, (None,) * len(scores), None, None, None, False)
        if not len(scores):
            return Verdict(posterior, (), Decision.NEW, None, None, False)
        size = self.model.fit(crowd.pictures).size(num_people)
        rate = self.model.rate(num_people, crowd.pictures, self.wanted)
        assert size is not None
        assert rate is not None
        certain = np.minimum(posterior.people, neutral.people)
        nobody = min(posterior.nobody, neutral.nobody)
        best = int(np.argmax(certain))
        is_same = bool(certain[best] >= rate.threshold)
        decision = (
            Decision.SAME if is_same else Decision.NEW if nobody >= size.nobody_from else Decision.UNSURE
        )
        decisions = [
            Decision.NEW if is_same or 1 - probability >= size.nobody_from else Decision.UNSURE
            for probability in posterior.people.tolist()
        ]
        decisions[best] = decision
        is_extrapolated = num_people > self.model.num_people
        return Verdict(posterior, tuple(decisions), decision, rate, size.people, is_extrapolated)
