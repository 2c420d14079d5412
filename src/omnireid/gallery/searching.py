"""From one embedding to candidates: similarity, what it means, groups by identity, re-ranking."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from omnireid.core.display import html_table, short_repr
from omnireid.core.errors import InputError
from omnireid.evaluation.calibration import Decision
from omnireid.evaluation.whitening import unit_cosines
from omnireid.gallery.decisions import Judge
from omnireid.gallery.generations import Generation, ModelRef
from omnireid.gallery.identities import People
from omnireid.gallery.items import EVERYTHING, Filter, Item
from omnireid.gallery.rows import ITEM_COLUMNS, embeddings_of, items_of
from omnireid.gallery.store import Float32, GalleryStore

MAX_K = 1000
MOST_FETCHED = 16_384
"""Items that a grouped search looks through at most; also Milvus's limit."""
RERANKED = 100
"""Candidates whose order re-ranking may change."""

_WIDENING = 4
RERANKING_NOTE = "The order is that of k-reciprocal re-ranking among the candidates; scores are similarities."
WHITENING_NOTE = "Scores are of whitened embeddings, among the nearest by cosine."


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item that a search returned, or a tracklet by its best item.

    Attributes:
        item: without its thumbnail.
        score: similarity, larger is closer; cosine, of whitened embeddings where the calibration whitens.
        probability: that query and candidate are of one person; None without a calibration.
        decision: of this pair; None without a calibration.
        identity: that its item is shown as, after merges.
        name: of that identity.
        frames: items behind it: 1, or those of its tracklet.
    """

    item: Item
    score: float
    probability: float | None
    decision: Decision | None
    identity: str | None
    name: str | None
    frames: int = 1

    __repr__ = short_repr


@dataclass(frozen=True, slots=True)
class Group:
    """Candidates of one identity; of one tracklet where there is no identity; else a single one.

    Attributes:
        score, probability, decision: of the best candidate.
        candidates: at most k, in the order of the search; those of the items that were looked through to find
            k groups, 4 · k at least.
    """

    identity: str | None
    name: str | None
    score: float
    probability: float | None
    decision: Decision | None
    candidates: tuple[Candidate, ...]

    __repr__ = short_repr


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found.

    Attributes:
        candidates: at most k, best first.
        groups: at most k, best first; empty unless asked for.
        decision: of the candidate with the highest score; "new" where there was nobody to compare with; None
            without a calibration.
        calibrated: whether there are probabilities.
        note: what a reader must know of the scores and their order; "" where there is nothing to say.
        model: that the scores are of.
        is_exact: whether every item that met the filter was compared.
        false_alarm_rate: of the decisions, for each comparison with a stranger.
        prior: behind the probabilities; None without a calibration.
    """

    candidates: tuple[Candidate, ...]
    groups: tuple[Group, ...]
    decision: Decision | None
    calibrated: bool
    note: str
    model: ModelRef
    is_exact: bool
    false_alarm_rate: float | None
    prior: float | None

    __repr__ = short_repr

    def _repr_html_(self) -> str:
        rows = [
            (
                f"{one.score:.4f}",
                None if one.probability is None else f"{one.probability:.1%}",
                None if one.decision is None else one.decision.value,
                one.identity,
                one.name,
                one.item.camera,
                one.item.time,
                one.item.source,
            )
            for one in self.candidates
        ]
        header = ("score", "probability", "decision", "identity", "name", "camera", "time", "source")
        decision = "no calibration" if self.decision is None else f"decision: {self.decision.value}"
        return html_table(header, rows, decision)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a gallery, besides the embedding.

    Attributes:
        k: candidates wanted, and groups where `group` is set.
        where: which items may be candidates; of identities every alias.
        exact: compare with every item, index or not.
        group: by identity.
        rerank: reorder the best `RERANKED` candidates.
    """

    k: int = 10
    where: Filter = EVERYTHING
    exact: bool = False
    group: bool = False
    rerank: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.k <= MAX_K:
            raise InputError(f"k: expected 1 to {MAX_K:,}, got {self.k}")


@dataclass(frozen=True)
class Ranked:
    """Rows in the order of the answer, with their scores."""

    rows: pa.Table
    scores: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Searcher:
    """One generation, with what is known of its people and of what scores mean.

    Attributes:
        has_index: whether a search that is not exact may miss items.
    """

    store: GalleryStore
    generation: Generation
    people: People
    judge: Judge
    has_index: bool

    def search(self, query: Float32, asked: Question) -> SearchResult:
        """Candidates for one embedding.

        Args:
            query: (D,) float32 of unit norm.
        """
        asked = dataclasses.replace(asked, where=self.expanded(asked.where))
        size = max(asked.k, RERANKED) if asked.rerank or self.judge.whitens else asked.k
        if asked.group:
            size = max(size, min(_WIDENING * asked.k, MOST_FETCHED))
        while True:
            ranked = self._ranked(query, asked, size)
            has_all = ranked.rows.num_rows < size
            groups = self.groups(ranked, asked.k) if asked.group else []
            if not asked.group or has_all or len(groups) >= asked.k or size >= MOST_FETCHED:
                break
            size = min(_WIDENING * size, MOST_FETCHED)
        is_exact = (asked.exact or not self.has_index) and (has_all or not self.judge.whitens)
        return self.result(
            self.candidates(ranked, np.arange(min(asked.k, ranked.rows.num_rows))),
            [self.candidates(ranked, places) for places in groups],
            is_exact=is_exact,
            notes=[RERANKING_NOTE] if asked.rerank else [],
        )

    def expanded(self, where: Filter) -> Filter:
        """A filter that asks for every alias of its identities."""
        return dataclasses.replace(where, identities=self.people.expanded(where.identities))

    def _ranked(self, query: Float32, asked: Question, size: int) -> Ranked:
        needs_vectors = asked.rerank or self.judge.whitens
        rows = self.store.search(
            self.generation.collection,
            query,
            k=size,
            where=asked.where,
            exact=asked.exact,
            columns=(*ITEM_COLUMNS, "embedding") if needs_vectors else ITEM_COLUMNS,
        )
        scores = np.asarray(rows.column("score"), np.float64)
        if not needs_vectors or rows.num_rows == 0:
            return Ranked(rows, scores)
        vectors = self.judge.vectors(np.concatenate([query[None], embeddings_of(rows)]))
        if self.judge.whitens:
            scores = unit_cosines(vectors[1:], vectors[0])
        # Stable: what was equal stays in the order of the store, by id.
        order = np.argsort(-scores, kind="stable")
        if asked.rerank:
            order[:RERANKED] = reranked(vectors[0], vectors[1:], order[:RERANKED])
        return Ranked(rows.take(order), scores[order])

    def groups(self, ranked: Ranked, k: int) -> list[npt.NDArray[np.int64]]:
        """Places of each group's candidates, the best group first; at most k of at most k."""
        shown = [self.people.shown(one) for one in ranked.rows.column("identity").to_pylist()]
        tracklets = ranked.rows.column("tracklet").to_pylist()
        members: dict[tuple[str, str | int], list[int]] = {}
        for place, (identity, tracklet) in enumerate(zip(shown, tracklets, strict=True)):
            key: tuple[str, str | int] = ("item", place)
            if identity is not None:
                key = ("identity", identity)
            elif tracklet is not None:
                key = ("tracklet", tracklet)
            members.setdefault(key, []).append(place)
        return [np.array(places[:k]) for places in list(members.values())[:k]]

    def candidates(
        self, ranked: Ranked, places: npt.NDArray[np.int64], frames: npt.NDArray[np.int64] | None = None
    ) -> tuple[Candidate, ...]:
        """Some of the ranked rows as candidates."""
        scores = ranked.scores[places]
        items = items_of(ranked.rows.take(places), self.people.shown)
        probabilities = self.judge.probabilities(scores)
        counts = [1] * len(items) if frames is None else frames[places].tolist()
        return tuple(
            Candidate(
                item,
                score,
                probability,
                self.judge.decision(score),
                item.identity,
                self.people.name(item.identity),
                count,
            )
            for item, score, probability, count in zip(
                items, scores.tolist(), probabilities, counts, strict=True
            )
        )

    def result(
        self,
        candidates: tuple[Candidate, ...],
        groups: list[tuple[Candidate, ...]],
        *,
        is_exact: bool,
        notes: list[str],
    ) -> SearchResult:
        """An answer from its candidates."""
        every = [*candidates, *(one for group in groups for one in group)]
        best = max(every, key=lambda one: one.score, default=None)
        whitened = [WHITENING_NOTE] if self.judge.whitens else []
        return SearchResult(
            candidates=candidates,
            groups=tuple(_group(members) for members in groups),
            decision=self.judge.decision_of_none() if best is None else best.decision,
            calibrated=self.judge.calibration is not None,
            note=" ".join(filter(None, [self.judge.note, *whitened, *notes])),
            model=self.generation.model,
            is_exact=is_exact,
            false_alarm_rate=self.judge.rate,
            prior=None if self.judge.calibration is None else self.judge.prior,
        )


def empty_result(judge: Judge, model: ModelRef) -> SearchResult:
    """Of a gallery in which nothing was ever enrolled."""
    is_calibrated = judge.calibration is not None
    return SearchResult(
        candidates=(),
        groups=(),
        decision=judge.decision_of_none(),
        calibrated=is_calibrated,
        note=judge.note,
        model=model,
        is_exact=True,
        false_alarm_rate=judge.rate,
        prior=judge.prior if is_calibrated else None,
    )


def _group(members: tuple[Candidate, ...]) -> Group:
    best = max(members, key=lambda one: one.score)
    return Group(best.identity, best.name, best.score, best.probability, best.decision, members)


def reranked(query: Float32, vectors: Float32, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Places in the order of k-reciprocal re-ranking among the query and these candidates.

    The paper's constants, smaller where there are fewer candidates.

    Args:
        query: (D,) of unit norm.
        vectors: (N, D) of unit norm.
        places: (M,) rows of `vectors`, the nearest first.
    """
    from omnireid.evaluation.reranking import Reranking, reranked_distances

    if len(places) < 2:
        return places
    usual = Reranking()
    constants = Reranking(k1=min(usual.k1, len(places)), k2=min(usual.k2, len(places)))
    rows = np.concatenate([query[None], vectors[places]]).astype(np.float64)
    sq_dist = np.maximum(2 - 2 * rows @ rows.T, 0.0)
    np.fill_diagonal(sq_dist, 0.0)
    final = reranked_distances(sq_dist[:1, 1:], sq_dist[:1, :1], sq_dist[1:, 1:], constants, threads=1)
    return places[np.argsort(final[0], kind="stable")]
