"""How numbers are written, so that they never travel without their protocol."""

from __future__ import annotations

from omnireid.core.record import ProtocolRecord, ResultRecord

METRICS: tuple[tuple[str, str], ...] = (
    ("rank1", "rank-1"),
    ("rank5", "rank-5"),
    ("rank10", "rank-10"),
    ("rank20", "rank-20"),
    ("mAP", "mAP"),
    ("mINP", "mINP"),
)

_PROTOCOLS = {
    "market1501": "single query, other cameras only",
    "single-gallery-shot": "single gallery shot",
    "no-camera": "single query, cameras ignored",
}


def percent(fraction: float | None) -> str:
    """One decimal, as the field's tables print it; an en dash where the protocol defines no value."""
    return "–" if fraction is None else f"{100 * fraction:.1f}"


def protocol_terms(protocol: ProtocolRecord) -> str:
    """What a metric depends on besides dataset and model."""
    terms = [
        _PROTOCOLS.get(protocol.name, protocol.name),
        protocol.distance,
        "L2-normalised" if protocol.normalised else "not normalised",
        "no re-ranking" if protocol.reranking == "none" else f"re-ranking {protocol.reranking}",
    ]
    if protocol.repeats > 1:
        terms.append(f"mean of {protocol.repeats} draws")
    return ", ".join(terms)


def protocol_sentence(record: ResultRecord) -> str:
    """The headline with everything it needs to be compared: "mAP 0.849 (market1501, …)"."""
    metrics, protocol = record.metrics, record.protocol
    headline = f"rank-1 {metrics.rank1:.3f}"
    if metrics.mAP is not None:
        headline = f"mAP {metrics.mAP:.3f}, {headline}"
    return (
        f"{headline} ({record.dataset.name}, {protocol_terms(protocol)}, "
        f"{protocol.num_valid_queries:,} valid queries of {protocol.num_queries:,}, "
        f"{protocol.num_gallery:,} gallery images)"
    )
