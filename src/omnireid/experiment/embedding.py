"""Pictures in, embeddings out, as a file or a folder of parts: what `omnireid embed` does."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
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
    """

    count: int
    model: ModelRef
    skipped: tuple[SkippedFile, ...]
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
            `EmbeddingWriter` and `make_plan`.
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
    return Embedded(len(samples) - len(skipped), embedder.ref, tuple(skipped))


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
    facts = {
        "model": list(embedder.ref),
        "normalised": normalise,
        "backend": engine.backend,
        "precision": engine.precision,
        "gallery": parts.gallery,
    }
    # Whole batches, so that each holds the pictures that it holds when one file is written.
    rows = max(1, parts.rows // engine.batch_size) * engine.batch_size
    suffix = ".json" if parts.gallery else ".parquet"
    plan = make_plan(folder.absolute(), samples, facts, rows=rows, suffix=suffix)
    missing = plan.missing
    if parts.workers.where == "ray":
        name = named_elsewhere(model)
        opening = partial(_open_worker, plan.folder, name, normalise, engine, reading.on_bad)
        outcomes = do_on_ray(opening, missing, parts.workers)
    else:
        outcomes = map(_maker(embedder, plan, replace(reading, console=None)), missing)
    return _collected(outcomes, plan, missing, embedder.ref, reading)


def _collected(
    outcomes: Iterator[Any], plan: Plan, missing: list[str], model: ModelRef, reading: Reading
) -> Embedded:
    planned = sum(plan.sizes[name] for name in missing)
    before = len(plan.samples) - planned
    count, skipped = 0, []
    with progress_bar(reading.console) as progress:
        task = progress.add_task("embedding", total=len(plan.samples), completed=before)
        for outcome in outcomes:
            count += outcome["count"]
            skipped += [SkippedFile(*file) for file in outcome["skipped"]]
            progress.advance(task, outcome["count"] + len(outcome["skipped"]))
    return Embedded(count, model, tuple(skipped), before)


def _open_worker(folder: Path, model: str, normalise: bool, engine: Engine, on_bad: Any) -> Do:
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
    return _maker(embedder, plan, Reading(on_bad=on_bad, threads=threads))


def _maker(embedder: Embedder, plan: Plan, reading: Reading) -> Do:
    """What makes a part of a plan by its name, unless somebody has."""
    uri = plan.facts["gallery"]
    if uri is not None:
        from omnireid.gallery.gallery import Gallery

        make = partial(_enrol_part, Gallery.open(uri), embedder)
    else:
        make = partial(_write_part, embedder)

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
