"""What is asked of a gallery besides the picture; the one place where the defaults of a search stand."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from omnireid.core.errors import InputError
from omnireid.gallery.items import EVERYTHING, Filter

MAX_K = 1000


@dataclass(frozen=True, slots=True)
class Question:
    """How to search. The defaults are those that answer "who is this?" best.

    Attributes:
        k: How many candidates are wanted, 1 to 1,000, and how many people where `group` is set.
        where: Which items may be candidates. An identity stands for all that was merged with it.
        exact: Compare with every item, also where there is an index.
        group: Answer by person: by identity; items without one by tracklet, or alone.
        rerank: Reorder the best 100 by k-reciprocal re-ranking; scores stay what they are.
        without: Ids of items that are no candidates, such as the one that is searched with.
        without_people: Identities that are no candidates, with all that was merged with them, such as
            people who were elsewhere at that moment.
        evidence: By identity, what else than looks speaks for this person: the log-likelihood ratio against
            anybody else, such as where they were at that moment. It changes probabilities and decisions; the
            rate of false alarms was measured without it.
        false_alarm_rate: Wanted share of searches for strangers that end in "same" (FPIR), one that the
            calibration could measure. It holds at any number of people. None takes its usual one, 1 %.
        prior: That the person is in the gallery at all, before the picture is looked at. None takes the
            one that the rates were measured with.

    Raises:
        InputError: `k` is out of range, or `prior` is no probability.
    """

    k: int = 10
    where: Filter = EVERYTHING
    exact: bool = False
    group: bool = True
    rerank: bool = False
    without: frozenset[str] = frozenset()
    without_people: frozenset[str] = frozenset()
    evidence: Mapping[str, float] = field(default_factory=dict)
    false_alarm_rate: float | None = None
    prior: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.k <= MAX_K:
            raise InputError(f"k: expected 1 to {MAX_K:,}, got {self.k}")
        if self.prior is not None and not 0 < self.prior < 1:
            raise InputError(f"prior: must lie between 0 and 1, got {self.prior}")
        object.__setattr__(self, "without", frozenset(self.without))
        object.__setattr__(self, "without_people", frozenset(self.without_people))

    @classmethod
    def of(cls, question: Question | None, options: Mapping[str, Any]) -> Question:
        """A question, changed by what else is said.

        Args:
            question: To begin with; the usual one when None.
            options: Fields of `Question` by name.

        Raises:
            InputError: An option that no question has, or one that cannot be used.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        for name in options:
            if name not in known:
                raise InputError(f"{name}: no option of a search; expected one of {', '.join(sorted(known))}")
        return dataclasses.replace(question or USUAL, **options)


USUAL = Question()
"""What is asked where nothing else is said."""
