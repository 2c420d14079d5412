"""What a folder of parts will hold, written before the first of them: work that is done once, whoever stops.

A part is a file whose name says what is in it: its number, and a hash of its samples and of everything that
decides their embeddings. It appears whole, by a rename, and is then never touched again. So two processes
that make the same part leave one, and whoever begins again makes those whose names are not there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import accumulate
from operator import attrgetter
from pathlib import Path
from typing import Any

from filelock import FileLock

from omnireid.core.errors import InputError, StorageError
from omnireid.core.extras import saying_the_extra
from omnireid.core.files import atomic_write, write_failure
from omnireid.core.types import Sample, SampleColumns
from omnireid.inference.storage import PARTS, PLAN, refusing_other_plans, sample_table, samples_of

_FACTS = b"omnireid.facts"
_LOCK = ".plan.lock"
# `astuple` would copy each value: four seconds for 200,000 samples.
_all_of = attrgetter(*(column.name for column in fields(Sample)))


@dataclass(frozen=True, eq=False)
class Plan:
    """The parts of a folder.

    Attributes:
        folder: Where they will be; all machines that work on it see it by this name.
        facts: What decides the embeddings: the model, and how it is run. JSON.
        samples: What is to be embedded, in the order of the parts.
        sizes: Name of each part → its samples, in order.
    """

    folder: Path
    facts: Mapping[str, Any]
    samples: SampleColumns = field(default_factory=lambda: SampleColumns.of(()))
    sizes: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Plan | None:
        """The plan in a folder; None where there is none.

        Raises:
            InputError: It is damaged, or something else.
        """
        with saying_the_extra():
            import pyarrow.parquet as pq

        path = folder / PLAN
        if not path.exists():
            return None
        with refusing_other_plans(path):
            table = pq.read_table(path)
            facts, sizes = (json.loads(table.schema.metadata[name]) for name in (_FACTS, PARTS))
            return cls(folder, facts, samples_of(table), sizes)

    def part(self, name: str) -> SampleColumns:
        """The samples of one part."""
        names = list(self.sizes)
        stop = list(accumulate(self.sizes.values()))[names.index(name)]
        return self.samples[stop - self.sizes[name] : stop]

    @property
    def missing(self) -> list[str]:
        """Names of the parts that are not there yet."""
        return [name for name in self.sizes if not (self.folder / name).exists()]

    def with_more(self, samples: Sequence[Sample], rows: int, suffix: str) -> Plan:
        """This plan, and parts of at most `rows` of those samples that it does not have.

        Raises:
            InputError: A picture is in it already, and something else was known of it.
        """
        known, paths = set(self.samples), set(self.samples.paths)
        # As the plan keeps them: not with what embeddings do not carry, such as attributes.
        new = [sample for sample in SampleColumns.of(samples) if sample not in known]
        for sample in new:
            if sample.path in paths:
                raise InputError(
                    f"{self.folder}: {sample.path} was planned with another pid, camera or time; take "
                    "another folder for --out"
                )
        sizes = dict(self.sizes)
        for start in range(0, len(new), rows):
            part = new[start : start + rows]
            content = json.dumps([self.facts, [_all_of(sample) for sample in part]], sort_keys=True)
            digest = hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()[:12]
            sizes[f"part-{len(sizes):05}-{digest}{suffix}"] = len(part)
        return Plan(self.folder, self.facts, SampleColumns.of([*self.samples, *new]), sizes)

    def write(self) -> None:
        """Write it into its folder, atomically.

        Raises:
            StorageError: It cannot be written; an old one stays.
        """
        import pyarrow.parquet as pq

        said = {_FACTS: json.dumps(self.facts), PARTS: json.dumps(self.sizes)}
        with atomic_write(self.folder / PLAN) as stream:
            pq.write_table(sample_table(self.samples).replace_schema_metadata(said), stream)


def make_plan(
    folder: Path, samples: Sequence[Sample], facts: Mapping[str, Any], *, rows: int, suffix: str = ".parquet"
) -> Plan:
    """The plan of a folder: the one that is there, with what is new, or a new one.

    Samples that were planned and are not among `samples` any more stay planned. Commands that begin at once
    plan one after the other, so that neither loses what the other has planned.

    Args:
        rows: Of a new part, at most.
        suffix: Of the files of new parts.

    Raises:
        InputError: The folder was begun with other facts, holds something else, or knows other things of a
            picture.
        StorageError: The plan cannot be written.
    """
    # What a writer that was killed has left of a plan begins with a dot.
    others = [entry for entry in folder.glob("*") if not entry.name.startswith(".")]
    if others and Plan.read(folder) is None:
        raise InputError(f"{folder}: holds something else than parts of embeddings; take another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / _LOCK):
            old = Plan.read(folder) or Plan(folder, facts)
            for name, value in facts.items():
                if old.facts.get(name) != value:
                    raise InputError(
                        f"{folder}: was begun with {name} {_shown(old.facts.get(name))}, not "
                        f"{_shown(value)}; take another folder for --out, or go on with the same"
                    )
            plan = old.with_more(samples, rows, suffix)
            if plan.sizes != old.sizes:
                plan.write()
            return plan
    except OSError as error:
        raise StorageError(f"cannot write {folder}: {write_failure(error)}") from error


def _shown(value: Any) -> str:
    # A model is known by its name and the beginning of its hash.
    return f"{value[0]} ({str(value[1])[:12]})" if isinstance(value, list) else str(value)
