"""How numbers are written, so that they never travel without their protocol."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from rich.table import Table
from rich.text import Text

from omnireid.core.options import Protocol
from omnireid.core.record import (
    DatasetRecord,
    Interval,
    MeansRecord,
    ProtocolRecord,
    ResultRecord,
    SpreadRecord,
)

CLASSES, ATTRIBUTES = Protocol.CLASSES.value, Protocol.ATTRIBUTES.value
_PROTOCOLS = {
    "market1501": "single query, other cameras only",
    "single-gallery-shot": "single gallery shot",
    "no-camera": "single query, cameras ignored",
    CLASSES: "classes in the order of the classifier's logits",
    ATTRIBUTES: "attributes that are more probable than not",
}


def percent(fraction: float | None) -> str:
    """One decimal, as the field's tables print it; an en dash where the protocol defines no value."""
    return "–" if fraction is None else f"{100 * fraction:.1f}"


def spread(values: SpreadRecord) -> str:
    """Percent, with the deviation where there is one: "10.37 ± 0.21"."""
    mean = f"{100 * values.mean:.2f}"
    return mean if values.deviation is None else f"{mean} ± {100 * values.deviation:.2f}"


def mean_precision_interval(record: ResultRecord) -> Interval | None:
    """Of mAP, where it was measured."""
    intervals = None if record.analysis is None else record.analysis.intervals
    return None if intervals is None else intervals.get("mAP")


def bare_table(
    header: Iterable[str],
    rows: Iterable[Iterable[str]],
    *,
    words: Container[str] = (),
    title: str | None = None,
    caption: str,
) -> Table:
    """A table for the terminal: no lines, nothing wrapped, numbers to the right.

    Args:
        words: The columns that hold no numbers.
    """
    table = Table(box=None, pad_edge=False, title_justify="left", caption_justify="left")
    # Text, not str: brackets in a name are no markup.
    table.title, table.caption = title if title is None else Text(title), Text(caption)
    for label in header:
        table.add_column(label, justify="left" if label in words else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def dataset_title(dataset: DatasetRecord) -> str:
    """Its name and, where it has several, which split: "viper, split 3 of 20" (splits count from 0)."""
    partition = dataset.partition
    return (
        dataset.name if partition is None else f"{dataset.name}, split {partition.index} of {partition.count}"
    )


def dataset_titles(records: Sequence[ResultRecord]) -> list[str]:
    """Their titles, with folder, file or seed where one model has several results of one title."""
    titles = [dataset_title(record.dataset) for record in records]
    roots = [f" ({record.dataset.root})" for record in records]
    seeds = [f", seed {record.seed}" for record in records]
    for additions in (roots, seeds):
        of_title: dict[tuple[str, str], set[str]] = {}
        for record, title, addition in zip(records, titles, additions, strict=True):
            of_title.setdefault((record.model.name, title), set()).add(addition)
        titles = [
            title if len(of_title[record.model.name, title]) == 1 else title + addition
            for record, title, addition in zip(records, titles, additions, strict=True)
        ]
    return titles


def repetitions(summary: MeansRecord) -> str:
    """What a mean is over: "10 splits of 20", "3 seeds (1, 2, 3)"."""
    if summary.seeds:
        return f"{len(summary.seeds)} seeds ({', '.join(map(str, summary.seeds))})"
    return f"{len(summary.partitions)} splits of {summary.partitions[0].count}"


def protocol_terms(protocol: ProtocolRecord) -> str:
    """What a metric depends on besides dataset and model."""
    if protocol.name in (CLASSES, ATTRIBUTES):
        return _PROTOCOLS[protocol.name]
    terms = [
        _PROTOCOLS.get(protocol.name, protocol.name),
        protocol.distance,
        "L2-normalised" if protocol.normalised else "not normalised",
        _steps(protocol.reranking),
    ]
    if protocol.repeats > 1:
        terms.append(f"mean of {protocol.repeats} draws")
    if protocol.frames:
        terms.append(f"frames: {protocol.frames}")
    return ", ".join(terms)


def _steps(reranking: str) -> str:
    """What changed embeddings or distances before ranking; of these steps only k-reciprocal re-ranks."""
    if "k-reciprocal" in reranking:
        return reranking.replace("k-reciprocal", "re-ranking k-reciprocal", 1)
    return "no re-ranking" if reranking == "none" else f"{reranking}, no re-ranking"


def valid_queries(records: Sequence[ResultRecord]) -> str:
    """How many queries the means are over: "10 queries", "3 of 10 queries have a match"."""
    counts = {
        title: (record.protocol.num_valid_queries, record.protocol.num_queries)
        for title, record in zip(dataset_titles(records), records, strict=True)
    }
    if len(set(counts.values())) > 1:
        shown = (f"{title} {valid:,} of {queries:,}" for title, (valid, queries) in counts.items())
        return "queries with a match: " + ", ".join(shown)
    valid, queries = next(iter(counts.values()))
    if valid < queries:
        return f"{valid:,} of {queries:,} queries have a match"
    return "1 query" if queries == 1 else f"{queries:,} queries"


def protocol_sentence(record: ResultRecord) -> str:
    """The headline with everything it needs to be compared: "mAP 0.849 (market1501, …)"."""
    metrics, protocol = record.metrics, record.protocol
    if protocol.name == ATTRIBUTES:
        return (
            f"mA {metrics.mA:.3f}, F1 {metrics.f1:.3f} ({dataset_title(record.dataset)}, "
            f"{protocol.num_queries:,} pictures, {_PROTOCOLS[ATTRIBUTES]})"
        )
    headline = f"rank-1 {metrics.rank1:.3f}"
    if protocol.name == CLASSES:
        of_what = f"{protocol.num_queries:,} pictures of {protocol.num_gallery:,} classes"
        return f"{headline}, which is top-1 accuracy ({dataset_title(record.dataset)}, {of_what})"
    if metrics.mAP is not None:
        headline = f"mAP {metrics.mAP:.3f}, {headline}"
    return (
        f"{headline} ({dataset_title(record.dataset)}, {protocol_terms(protocol)}, "
        f"{protocol.num_valid_queries:,} valid queries of {protocol.num_queries:,}, "
        f"{protocol.num_gallery:,} gallery {'tracklets' if protocol.frames else 'images'})"
    )
