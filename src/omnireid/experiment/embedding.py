"""Pictures in, embeddings out, as a file or a folder of parts: what `omnireid embed` does."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnireid.core.card import ModelRef
from omnireid.core.errors import InputError
from omnireid.core.files import write_text
from omnireid.core.progress import progress_bar
from omnireid.core.remote import is_remote
from omnireid.core.types import SampleColumns, SkippedFile
from omnireid.data.loading import Reading
from omnireid.experiment.opening import open_model
from omnireid.experiment.options import Parts
from omnireid.experiment.plan import Plan, make_plan
from omnireid.experiment.workers import (
    Do,
    another_model,
    do_on_ray,
    named_elsewhere,
    not_there,
    worker_threads,
)
from omnireid.inference.embedder import Embedder
from omnireid.inference.options import Engine
from omnireid.inference.sources import collect_samples
from omnireid.inference.storage import EmbeddingWriter

if TYPE_CHECKING:
    from omnireid.gallery.gallery import Gallery


@dataclass(frozen=True)
class Embedded:
    """What `embed` wrote.

    Attributes:
        count: Embeddings that were made.
        model: What made them.
        skipped: Pictures that could not be decoded.
        before: Pictures whose parts were there already, and stayed as they were.
        where: What holds them: the file, the folder, or the gallery, without its token.
    """

    count: int
    model: ModelRef
    skipped: tuple[SkippedFile, ...]
    where: str
    before: int = 0


def embed(
    source: str,
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    normalise: bool = True,
    engine: Engine = Engine(),
    reading: Reading = Reading(),
    parts: Parts = Parts(),
) -> Embedded:
    """Embed pictures, streaming: memory does not grow with their number.

    Args:
        source: A folder, a pattern ("crops/**/*.jpg"), a picture, or a manifest.
        model: A model file, or the name of pulled weights.
        out: File to write, .parquet or .npz; or, without a suffix, a folder of parts. A folder that was begun
            is gone on with: parts that are there stay.
        normalise: Whether embeddings are L2-normalised.
        engine: What runs the model.
        reading: How the pictures are read.
        parts: Of a folder: who makes the parts, and of which size.

    Raises:
        InputError, ImageError, WeightsError, StorageError: As `collect_samples`, `Embedder`,
            `EmbeddingWriter`, `make_plan` and `Gallery.open`.
        MissingExtraError, WorkerError: As `do_on_ray`.
    """
    out = Path(out)
    if not out.suffix:
        return _embed_parts(source, model, out, normalise, engine, reading, parts)
    if parts.workers.where == "ray":
        raise InputError(f"{out}: workers of a cluster write parts; give a folder, a name without suffix")
    samples = collect_samples(source, console=reading.console)
    embedder = open_model(model, engine, normalise=normalise, console=reading.console)
    skipped: list[SkippedFile] = []
    with EmbeddingWriter(out, card=embedder.card) as writer:
        for part in embedder.embed_stream(samples, replace(reading, on_skip=skipped.append)):
            writer.write(part)
    return Embedded(len(samples) - len(skipped), embedder.ref, tuple(skipped), str(out))


def _embed_parts(
    source: str,
    model: str | os.PathLike[str],
    folder: Path,
    normalise: bool,
    engine: Engine,
    reading: Reading,
    parts: Parts,
) -> Embedded:
    # Workers elsewhere have another working folder.
    where = source if is_remote(source) else Path(source).absolute()
    samples = collect_samples(where, console=reading.console)
    embedder = open_model(model, engine, normalise=normalise, console=reading.console)
    gallery = None
    if parts.gallery is not None:
        from omnireid.gallery.opening import shown_uri, whole_uri

        gallery = shown_uri(parts.gallery)
        parts = replace(parts, gallery=whole_uri(parts.gallery))
    facts = {
        "model": list(embedder.ref),
        "normalised": normalise,
        "backend": engine.backend,
        "precision": engine.precision,
        "gallery": gallery,
    }
    # Whole batches, so that each holds the pictures that it holds when one file is written.
    rows = max(1, parts.rows // engine.batch_size) * engine.batch_size
    suffix = ".parquet" if gallery is None else ".json"
    plan = make_plan(folder.absolute(), samples, facts, rows=rows, suffix=suffix)
    missing = plan.missing
    before = len(plan.samples) - sum(plan.sizes[name] for name in missing)
    nothing = Embedded(0, embedder.ref, (), gallery or str(folder), before)
    with _gallery_of(parts) as opened:
        if opened is not None:
            _check_enrolled(plan, opened)
        if not missing:
            return nothing
        if parts.workers.where == "ray":
            name = named_elsewhere(model)
            opening = partial(_open_worker, plan.folder, name, normalise, engine, reading.on_bad, parts)
            return _collected(do_on_ray(opening, missing, parts.workers), nothing, len(plan.samples), reading)
        make = _maker(embedder, plan, replace(reading, console=None), opened)
        return _collected(map(make, missing), nothing, len(plan.samples), reading)


def _check_enrolled(plan: Plan, gallery: Gallery) -> None:
    """What parts say is enrolled is not enrolled again: an empty gallery is another one, or was emptied."""
    done = [plan.folder / name for name in plan.sizes if (plan.folder / name).exists()]
    count = sum(json.loads(path.read_text(encoding="utf-8"))["enrolled"] for path in done)
    if count and not gallery.items(limit=1).entries:
        raise InputError(
            f"{plan.folder}: its parts say that {count} of these pictures are enrolled in {gallery.uri}, "
            "which is empty; to enrol them again, take another folder for --out"
        )


def _collected(outcomes: Iterator[Any], nothing: Embedded, total: int, reading: Reading) -> Embedded:
    count, skipped = 0, []
    with progress_bar(reading.console) as progress:
        task = progress.add_task("embedding", total=total, completed=nothing.before)
        for outcome in outcomes:
            count += outcome["count"]
            skipped += [SkippedFile(*file) for file in outcome["skipped"]]
            progress.advance(task, outcome["count"] + len(outcome["skipped"]))
    return replace(nothing, count=count, skipped=tuple(skipped))


def _open_worker(folder: Path, model: str, normalise: bool, engine: Engine, on_bad: Any, parts: Parts) -> Do:
    """What a worker needs, loaded once: the plan and the model.

    Raises:
        InputError: The folder or the model is not the same on this machine.
    """
    plan = Plan.read(folder)
    if plan is None:
        raise not_there(folder)
    embedder = Embedder.open(model, **vars(engine), normalise=normalise)
    if list(embedder.ref) != plan.facts["model"]:
        raise another_model(model)
    threads = engine.threads or worker_threads()
    # The gallery stays open for as long as the worker lives.
    gallery = _gallery_of(parts).__enter__()
    return _maker(embedder, plan, Reading(on_bad=on_bad, threads=threads), gallery)


def _gallery_of(parts: Parts) -> AbstractContextManager[Gallery | None]:
    if parts.gallery is None:
        return nullcontext()
    from omnireid.gallery.gallery import Gallery

    return Gallery.open(parts.gallery, actor=parts.actor)


def _maker(embedder: Embedder, plan: Plan, reading: Reading, gallery: Gallery | None) -> Do:
    """What makes a part of a plan by its name, unless somebody has."""
    make = partial(_write_part, embedder) if gallery is None else partial(_enrol_part, gallery, embedder)

    def make_once(name: str) -> dict[str, Any]:
        path, samples, skipped = plan.folder / name, plan.part(name), list[SkippedFile]()
        if not path.exists():
            make(path, samples, replace(reading, on_skip=skipped.append))
        left_out = [[file.path, file.reason] for file in skipped]
        return {"count": len(samples) - len(skipped), "skipped": left_out}

    return make_once


def _write_part(embedder: Embedder, path: Path, samples: SampleColumns, reading: Reading) -> None:
    with EmbeddingWriter(path, card=embedder.card) as writer:
        for part in embedder.embed_stream(samples, reading):
            writer.write(part)


def _enrol_part(
    gallery: Gallery, embedder: Embedder, path: Path, samples: SampleColumns, reading: Reading
) -> None:
    """Enrol a part. Made twice, because somebody was killed before the last line, it changes nothing: the
    gallery knows pictures by their content."""
    from omnireid.gallery.enrolling import joined
    from omnireid.gallery.files import embed_seen, seen_files

    added = joined(gallery.enrol_stream(embed_seen(embedder, seen_files(samples), reading)))
    write_text(path, json.dumps({"enrolled": len(added.ids), "new": int(added.is_new.sum())}))
