"""From one embedding to candidates: similarity, what it means, groups by identity, re-ranking."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from omnireid.core.arrays import Bool, Float32, Float64, Int64
from omnireid.core.card import ModelRef
from omnireid.core.display import html_table, short_repr
from omnireid.evaluation.calibration import Decision
from omnireid.evaluation.whitening import unit_cosines
from omnireid.gallery.decisions import Crowd, SearchJudge, Verdict
from omnireid.gallery.generations import Generation
from omnireid.gallery.identities import People
from omnireid.gallery.items import Filter, Item
from omnireid.gallery.questions import Question
from omnireid.gallery.rejections import Rejected
from omnireid.gallery.rows import ITEM_COLUMNS, embeddings_of, items_of
from omnireid.gallery.store import GalleryStore

MOST_FETCHED = 16_384
"""Items that a grouped search looks through at most; also Milvus's limit."""
RERANKED = 100
"""Candidates whose order re-ranking may change."""

LEAST_FETCHED = 64
"""Items whose people enter the certainty of a search, however few candidates are asked for."""
_LINKED = 16
"""People at the top among whom pictures that nobody has assigned are joined by likeness."""

_HEEDED = 0.5
"""Rejected pictures this much less alike than the best candidate say nothing."""

_CLEAR = np.log(10.0)
"""Evidence from which somebody's pictures are looked at although others look more alike."""

_WIDENING = 4
RERANKING_NOTE = "The order is that of k-reciprocal re-ranking among the candidates; scores are similarities."
WHITENING_NOTE = "Scores are of whitened embeddings, among the nearest by cosine."


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item that a search returned, or a tracklet by its best item.

    Attributes:
        item: without its thumbnail.
        score: similarity, larger is closer; cosine, of whitened embeddings where the calibration whitens.
        probability: the probability that the query shows this candidate's person, and neither somebody else
            of the gallery nor nobody in it; None without a calibration.
        decision: decision of this person; None without a calibration.
        identity: the identity that its item is shown as, after merges.
        name: name of that identity.
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
    """Candidates of one person: of one identity, of one tracklet where there is none, else a single one.

    Pictures that nobody has assigned join the person, or each other, where they look alike.

    Attributes:
        identity, name: None where nobody has assigned any of them.
        score: score of the best candidate.
        probability, decision: those of this person.
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
class Measured:
    """Of simulated searches for strangers through so many people, the share that ended in "same".

    Attributes:
        people: N, the measured one that is nearest to the search's.
        rate: the share.
        low, high: its 95 % interval for other people.
        is_extrapolated: whether the search went through more people than the calibration knew.
    """

    people: int
    rate: float
    low: float
    high: float
    is_extrapolated: bool


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found.

    Attributes:
        candidates: at most k, best first.
        groups: at most k, best first; empty unless asked for.
        decision: decision of the search: "same", the best person; "new", nobody here; "unsure". None without
            a calibration.
        nobody: probability that the person is not among those who were searched through.
        others: probability of everybody who is in no group of this answer. The probabilities of all groups,
            `nobody` and `others` add up to 1; None without a calibration.
        people: how many different people were searched through, as far as known.
        calibrated: whether there are probabilities.
        note: what a reader must know of the scores and their order; "" where there is nothing to say.
        model: the model that the scores are of.
        is_exact: whether every item that met the filter was compared.
        false_alarm_rate: wanted share of searches for strangers that end in "same"; None without a
            calibration.
        same_from: a person is called the same from this probability on.
        measured: what became of searches for strangers when calibrating; None likewise.
        prior: the probability that the person is in the gallery at all, before looking; None without a
            calibration.
    """

    candidates: tuple[Candidate, ...]
    groups: tuple[Group, ...]
    decision: Decision | None
    nobody: float | None
    others: float | None
    people: int
    calibrated: bool
    note: str
    model: ModelRef
    is_exact: bool
    false_alarm_rate: float | None
    same_from: float | None
    measured: Measured | None
    prior: float | None

    __repr__ = short_repr

    def _repr_html_(self) -> str:
        rows = [
            (
                f"{candidate.score:.4f}",
                None if candidate.probability is None else f"{candidate.probability:.1%}",
                None if candidate.decision is None else candidate.decision.value,
                candidate.identity,
                candidate.name,
                candidate.item.camera,
                candidate.item.time,
                candidate.item.source,
            )
            for candidate in self.candidates
        ]
        header = ("score", "probability", "decision", "identity", "name", "camera", "time", "source")
        decision = "no calibration" if self.decision is None else f"decision: {self.decision.value}"
        return html_table(header, rows, decision)


@dataclass(frozen=True)
class Ranked:
    """Rows in the order of the answer, with their scores and whose they are.

    Attributes:
        scores: (R,).
        people: (R,) numbers of different people as far as known, in the order in which they first appear.
        evidence: (P,) what else than looks speaks for each of them (`Question.evidence`).
        unseen_below: Scores of all other items lie below; None where there are none.
    """

    rows: pa.Table
    scores: Float64
    people: Int64
    evidence: Float64
    unseen_below: float | None

    @property
    def best(self) -> Float64:
        """(P,) the best score of each person."""
        best = np.full(len(self.evidence), -np.inf)
        np.maximum.at(best, self.people, self.scores)
        return best


@dataclass(frozen=True)
class Searcher:
    """One generation, with what is known of its people and of what scores mean.

    Attributes:
        has_index: whether a search that is not exact may miss items.
        crowd: the people whom the search goes through.
        rejected: pictures that somebody has ruled out.
    """

    store: GalleryStore
    generation: Generation
    people: People
    judge: SearchJudge
    has_index: bool
    crowd: Crowd
    rejected: Rejected

    def search(self, query: Float32, asked: Question) -> SearchResult:
        """Candidates for one embedding.

        Args:
            query: (D,) float32 of unit norm.
        """
        asked = dataclasses.replace(asked, where=self.people.meant(asked.where))
        size = max(asked.k, RERANKED) if asked.rerank or self.judge.whitens else asked.k
        if asked.group:
            size = max(size, min(_WIDENING * asked.k, MOST_FETCHED))
        if self.judge.model is not None:
            size = max(size, LEAST_FETCHED)
        while True:
            ranked, has_all = self._ranked(query, asked, size)
            groups = self.groups(ranked, asked.k) if asked.group else []
            found = len(groups) if asked.group else ranked.rows.num_rows
            if has_all or found >= asked.k or size >= MOST_FETCHED:
                break
            size = min(_WIDENING * size, MOST_FETCHED)
        return self.result(
            query,
            ranked,
            np.arange(min(asked.k, ranked.rows.num_rows)),
            groups,
            is_exact=(asked.exact or not self.has_index) and (has_all or not self.judge.whitens),
            notes=[RERANKING_NOTE] if asked.rerank else [],
        )

    def _ranked(self, query: Float32, asked: Question, size: int) -> tuple[Ranked, bool]:
        """The best items, with those of people for whom something else speaks; whether they are all."""
        needs_vectors = asked.rerank or self.judge.whitens
        size += len(asked.without)

        def nearest(where: Filter) -> pa.Table:
            return self.store.search(
                self.generation.collection,
                query,
                k=size,
                where=where,
                exact=asked.exact,
                columns=(*ITEM_COLUMNS, "embedding") if needs_vectors else ITEM_COLUMNS,
            )

        rows = nearest(asked.where)
        has_all = rows.num_rows < size
        rows = self.asked_for(rows, asked)
        count, likely = rows.num_rows, self._likely(asked)
        if likely and not has_all:
            theirs = self.asked_for(nearest(dataclasses.replace(asked.where, identities=likely)), asked)
            known = set(rows.column("id").to_pylist())
            more = [item_id not in known for item_id in theirs.column("id").to_pylist()]
            rows = pa.concat_tables([rows, theirs.take(np.flatnonzero(more))])
        scores = np.asarray(rows.column("score"), np.float64)
        if needs_vectors and rows.num_rows:
            vectors = self.judge.vectors(np.concatenate([query[None], embeddings_of(rows)]))
            if self.judge.whitens:
                scores = unit_cosines(vectors[1:], vectors[0])
        below = None if has_all or not count else float(scores[:count].min())
        if needs_vectors and rows.num_rows:
            # Stable: what was equal stays in the order of the store, by id.
            order = np.argsort(-scores, kind="stable")
            if asked.rerank:
                order[:RERANKED] = reranked(vectors[0], vectors[1:], order[:RERANKED])
            rows, scores = rows.take(order), scores[order]
        return self.ranked(rows, scores, asked, below), has_all

    def _likely(self, asked: Question) -> frozenset[str]:
        """Aliases of the people for whom more than looks speaks clearly, as far as they are asked for."""
        likely = {identity for identity, ratio in asked.evidence.items() if ratio > _CLEAR}
        aliases = frozenset(alias for identity in likely for alias in self.people.aliases(identity))
        return aliases & (aliases if asked.where.identities is None else asked.where.identities)

    def asked_for(self, rows: pa.Table, asked: Question) -> pa.Table:
        """Rows without the items and people that are to be no candidates."""
        if asked.without:
            ids = rows.column("id").to_pylist()
            rows = rows.take(np.flatnonzero([item_id not in asked.without for item_id in ids]))
        if asked.without_people:
            gone = {self.people.root(identity) for identity in asked.without_people}
            shown = map(self.people.shown, rows.column("identity").to_pylist())
            rows = rows.take(np.flatnonzero([identity not in gone for identity in shown]))
        return rows

    def ranked(self, rows: pa.Table, scores: Float64, asked: Question, unseen_below: float | None) -> Ranked:
        """Rows in the order of the answer, with whose they are."""
        shown = [self.people.shown(identity) for identity in rows.column("identity").to_pylist()]
        tracklets = rows.column("tracklet").to_pylist()
        numbers: dict[tuple[str, str | int], int] = {}
        people = np.empty(len(shown), np.int64)
        for row, (identity, tracklet) in enumerate(zip(shown, tracklets, strict=True)):
            key: tuple[str, str | int] = ("item", row)
            if identity is not None:
                key = ("identity", identity)
            elif tracklet is not None:
                key = ("tracklet", tracklet)
            people[row] = numbers.setdefault(key, len(numbers))
        is_known = np.array([kind == "identity" for kind, _ in numbers], np.bool_)
        joined = self._joined(rows, people, is_known)
        # Numbered anew, in the order in which they first appear.
        _, first, places = np.unique(joined[people], return_index=True, return_inverse=True)
        order = np.argsort(first)
        ratios = {self.people.root(identity): ratio for identity, ratio in asked.evidence.items()}
        evidence = np.zeros(len(first))
        for row, identity in enumerate(shown):
            if identity in ratios:
                evidence[places[row]] = ratios[identity]
        return Ranked(rows, scores, np.argsort(order)[places], evidence[order], unseen_below)

    def _joined(self, rows: pa.Table, people: Int64, is_known: Bool) -> Int64:
        """For each of M people the one they are: what nobody has assigned joins whom it looks like.

        Two identities stay two: somebody has said so.
        """
        joined = np.arange(len(is_known))
        first = np.unique(people, return_index=True)[1][:_LINKED]
        if self.judge.model is None or len(first) < 2 or is_known[: len(first)].all():
            return joined
        ids = rows.take(first).column("id").to_pylist()
        stored = self.store.get(self.generation.collection, ids, columns=("id", "embedding"))
        places = {item_id: index for index, item_id in enumerate(stored.column("id").to_pylist())}
        if len(places) < len(ids):
            return joined  # something was deleted meanwhile
        vectors = self.judge.vectors(embeddings_of(stored))[[places[item_id] for item_id in ids]]
        scores = (vectors @ vectors.T).astype(np.float64)
        alike = self.judge.are_alike(scores)
        for person in range(1, len(first)):
            for before in np.argsort(-scores[person, :person], kind="stable"):
                leader = joined[before]
                if not alike[person, before]:
                    break
                members = joined[: len(first)] == leader
                if not (is_known[person] and is_known[: len(first)][members].any()):
                    joined[person] = leader
                    break
        return joined

    def groups(self, ranked: Ranked, k: int) -> list[Int64]:
        """Places of each person's candidates, the best person first; at most k of at most k."""
        people = np.arange(len(ranked.evidence))
        if ranked.evidence.any() and self.judge.model is not None:
            looks = self.judge.model.fit(self.crowd.pictures).evidence(ranked.best)
            people = np.argsort(-(looks + ranked.evidence), kind="stable")
        return [np.flatnonzero(ranked.people == person)[:k] for person in people[:k]]

    def result(
        self,
        query: Float32,
        ranked: Ranked,
        candidates: Int64,
        groups: list[Int64],
        *,
        is_exact: bool,
        notes: list[str],
        frames: Int64 | None = None,
    ) -> SearchResult:
        """The answer.

        Args:
            query: (D,) of unit norm, as stored.
            candidates: places of those that are listed.
            groups: places of those of each group.
            frames: (R,) items behind each row; one, when None.
        """
        judged = _Judged.of(self, ranked, self._ruled_out(query, ranked))
        listed = self._candidates(ranked, candidates, frames, judged)
        grouped = tuple(_group(self._candidates(ranked, places, frames, judged)) for places in groups)
        verdict = judged.verdict
        others = None
        if verdict is not None:
            shown = {int(person) for places in (groups or [candidates]) for person in ranked.people[places]}
            others = verdict.posterior.others + sum(
                probability or 0.0
                for person, probability in enumerate(judged.probabilities)
                if person not in shown
            )
        whitened = [WHITENING_NOTE] if self.judge.whitens else []
        return SearchResult(
            candidates=listed,
            groups=grouped,
            others=others,
            note=" ".join(filter(None, [self.judge.note, *whitened, *notes])),
            model=self.generation.model,
            is_exact=is_exact,
            **_answer(self.judge, verdict, max(self.crowd.people, len(judged.probabilities))),
        )

    def _ruled_out(self, query: Float32, ranked: Ranked) -> Float64:
        """Scores of rejected pictures, without those of somebody who is a candidate by now."""
        if self.judge.model is None or not len(self.rejected.identities) or not ranked.rows.num_rows:
            return np.zeros(0)
        vectors = self.judge.vectors(np.concatenate([query[None], self.rejected.vectors]))
        scores = unit_cosines(vectors[1:], vectors[0])
        near = np.flatnonzero(scores >= ranked.scores.max() - _HEEDED)
        first = np.unique(ranked.people, return_index=True)[1][:_LINKED]
        top = ranked.rows.take(first)
        stored = self.store.get(
            self.generation.collection, top.column("id").to_pylist(), columns=("identity", "embedding")
        )
        alike = self.judge.are_alike(
            (vectors[1:][near] @ self.judge.vectors(embeddings_of(stored)).T).astype(np.float64)
        )
        shown = [self.people.shown(identity) for identity in stored.column("identity").to_pylist()]
        heeded = []
        for index, row in zip(near.tolist(), alike, strict=True):
            not_this = self.people.shown(self.rejected.identities[index])
            if not any(same and identity != not_this for same, identity in zip(row, shown, strict=True)):
                heeded.append(index)
        return scores[heeded]

    def _candidates(
        self,
        ranked: Ranked,
        places: Int64,
        frames: Int64 | None,
        judged: _Judged,
    ) -> tuple[Candidate, ...]:
        """Some of the ranked rows as candidates."""
        items = items_of(ranked.rows.take(places), self.people.shown)
        counts = [1] * len(items) if frames is None else frames[places].tolist()
        return tuple(
            Candidate(
                item,
                float(ranked.scores[row]),
                judged.probabilities[ranked.people[row]],
                judged.decisions[ranked.people[row]],
                item.identity,
                self.people.name(item.identity),
                count,
            )
            for item, row, count in zip(items, places.tolist(), counts, strict=True)
        )


@dataclass(frozen=True)
class _Judged:
    """What a search says of each of the people in `Ranked.people`."""

    verdict: Verdict | None
    probabilities: list[float | None]
    decisions: list[Decision | None]

    @classmethod
    def of(cls, searcher: Searcher, ranked: Ranked, ruled_out: Float64) -> _Judged:
        count, best = len(ranked.evidence), ranked.best
        order = np.argsort(-best, kind="stable")
        verdict = searcher.judge.verdict(
            best[order], searcher.crowd, ranked.unseen_below, ruled_out, ranked.evidence[order]
        )
        if verdict is None:
            return cls(None, [None] * count, [None] * count)
        probabilities = np.empty(count)
        probabilities[order] = verdict.posterior.people
        decisions: list[Decision | None] = [None] * count
        for person, decision in zip(order.tolist(), verdict.decisions, strict=True):
            decisions[person] = decision
        return cls(verdict, [*probabilities.tolist()], decisions)


def _answer(judge: SearchJudge, verdict: Verdict | None, people: int) -> dict[str, Any]:
    """The fields of a `SearchResult` that follow from its verdict."""
    rate = None if verdict is None else verdict.rate
    measured = None
    if verdict is not None and rate is not None and verdict.measured_people is not None:
        measured = Measured(verdict.measured_people, rate.rate, rate.low, rate.high, verdict.is_extrapolated)
    return {
        "decision": None if verdict is None else verdict.decision,
        "nobody": None if verdict is None else verdict.posterior.nobody,
        "people": people,
        "calibrated": verdict is not None,
        "false_alarm_rate": judge.wanted,
        "same_from": None if rate is None else rate.threshold,
        "measured": measured,
        "prior": None if verdict is None else judge.prior,
    }


def empty_result(judge: SearchJudge, model: ModelRef) -> SearchResult:
    """Of a gallery in which nothing was ever enrolled."""
    verdict = judge.verdict(np.zeros(0), Crowd(0, 0), None)
    return SearchResult(
        candidates=(),
        groups=(),
        others=None if verdict is None else 0.0,
        note=judge.note,
        model=model,
        is_exact=True,
        **_answer(judge, verdict, 0),
    )


def _group(members: tuple[Candidate, ...]) -> Group:
    best = max(members, key=lambda candidate: candidate.score)
    known = next((candidate for candidate in members if candidate.identity is not None), best)
    return Group(known.identity, known.name, best.score, best.probability, best.decision, members)


def reranked(query: Float32, vectors: Float32, places: Int64) -> Int64:
    """Places in the order of k-reciprocal re-ranking among the query and these candidates.

    The paper's constants, smaller where there are fewer candidates.

    Args:
        query: (D,) of unit norm.
        vectors: (N, D) of unit norm.
        places: (M,) rows of `vectors`, the nearest first.
    """
    from omnireid.evaluation.options import Reranking
    from omnireid.evaluation.reranking import reranked_distances

    if len(places) < 2:
        return places
    usual = Reranking()
    constants = Reranking(k1=min(usual.k1, len(places)), k2=min(usual.k2, len(places)))
    rows = np.concatenate([query[None], vectors[places]]).astype(np.float64)
    sq_dist = np.maximum(2 - 2 * rows @ rows.T, 0.0)
    np.fill_diagonal(sq_dist, 0.0)
    final = reranked_distances(sq_dist[:1, 1:], sq_dist[:1, :1], sq_dist[1:, 1:], constants, threads=1)
    return places[np.argsort(final[0], kind="stable")]
