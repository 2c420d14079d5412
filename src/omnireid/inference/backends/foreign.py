"""Cards of network files that others made: what pictures they take, and what they give.

A card is a small YAML file that somebody writes who knows; `--card` names it, or it lies beside the network
as `NAME.card.yaml` or `card.yaml`.
"""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import yaml
from pydantic import BeforeValidator, Field, ValidationError, field_validator

from omnireid.core.card import InputSpec
from omnireid.core.closed import ClosedModel
from omnireid.core.errors import WeightsError
from omnireid.inference.backends.colours import Pictures

_WHITE = {"0-255": 255.0, "0-1": 1.0}
# Whatever else the card says, embeddings stay what they are.
_WITHOUT_EFFECT = {"name", "licence"}

Three = tuple[float, float, float]


def _three(value: object) -> object:
    return [value] * 3 if isinstance(value, int | float) else value


_Colours = Annotated[Three, BeforeValidator(_three)]


class ForeignCard(ClosedModel):
    """What a network file takes: (value − mean) / std of each channel, in its order and range.

    Attributes:
        name: what the model is called; the file's name when "".
        licence: licence of the file.
        size: height and width of its input.
        layout: layout of its input.
        colours: order of the channels it takes.
        range: range of the values before mean and std.
        mean, std: those of each channel in that order, in that range; 0 and 1 where the file wants none, or
            applies its own.
        normalised: whether the embeddings it gives have length 1.
    """

    name: str = ""
    licence: str = "unknown"
    size: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]
    layout: Literal["NCHW", "NHWC"]
    colours: Literal["RGB", "BGR"]
    range: Literal["0-255", "0-1"]
    mean: _Colours
    std: _Colours
    normalised: bool

    @field_validator("mean", "std")
    @classmethod
    def _finite(cls, values: Three) -> Three:
        if not all(map(math.isfinite, values)):
            raise ValueError("three finite numbers expected")
        return values

    @field_validator("std")
    @classmethod
    def _positive(cls, values: Three) -> Three:
        if min(values) <= 0:
            raise ValueError("every standard deviation must be positive")
        return values

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> ForeignCard:
        """Read a card.

        Raises:
            WeightsError: missing, not YAML, or not a card; names what is wrong.
        """
        try:
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise WeightsError(f"card {path}: {error.strerror or error}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise WeightsError(f"card {path}: not valid YAML: {error}") from error
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            problems = [
                f"{'.'.join(map(str, problem['loc'])) or 'the card'}: {problem['msg']}"
                for problem in error.errors()
            ]
            raise WeightsError(f"card {path}: {'; '.join(problems)}") from error

    @property
    def is_plain(self) -> bool:
        """Whether nothing is subtracted or divided by."""
        return self.mean == (0, 0, 0) and self.std == (1, 1, 1)

    def pictures(self) -> Pictures:
        """What the file is fed; normalised by `input_spec` unless it is plain."""
        white = _WHITE[self.range] if self.is_plain else None
        values = "" if self.is_plain else f", less {_listed(self.mean)}, divided by {_listed(self.std)}"
        return Pictures(
            white, self.colours, notes=f"As its card says: {self.colours} of {self.range}{values}."
        )

    def input_spec(self) -> InputSpec:
        """The same in RGB of 0 to 1, as model cards state it."""
        turned = slice(None, None, -1 if self.colours == "BGR" else 1)
        white = _WHITE[self.range]
        mean, std = (tuple((np.array(values) / white)[turned].tolist()) for values in (self.mean, self.std))
        return InputSpec(height=self.size[0], width=self.size[1], mean=mean, std=std)

    def sha256_with(self, sha256: str) -> str:
        """The hash of a file that is read by this card: with another card it is another model."""
        decisive = self.model_dump_json(exclude=_WITHOUT_EFFECT)
        return hashlib.sha256(f"{sha256}\n{decisive}".encode()).hexdigest()


def find_card(path: Path) -> ForeignCard | None:
    """The card beside a network file: `NAME.card.yaml`, else `card.yaml`.

    Raises:
        WeightsError: there is one that cannot be used.
    """
    for candidate in (path.with_name(f"{path.stem}.card.yaml"), path.with_name("card.yaml")):
        if candidate.is_file():
            return ForeignCard.read(candidate)
    return None


def card_to_write(label: str, *, size: tuple[int | None, int | None], layout: str) -> str:
    """What to tell somebody whose network file has no card: the card, with what the graph says filled in.

    On one line, as errors are; YAML reads it so. What is not known yet is no valid value.
    """
    height, width = ("?" if length is None else length for length in size)
    name = Path(label).stem
    return (
        f"Write a card, {name}.card.yaml beside it (or elsewhere: --card FILE), with what its makers say: "
        "one of each pair, and what is taken off and divided by, of each channel in that order and range "
        f"(0 and 1 for nothing): {{name: {name}, licence: unknown, size: [{height}, {width}], "
        f"layout: {layout}, colours: RGB|BGR, range: 0-255|0-1, mean: [M, M, M], std: [S, S, S], "
        "normalised: true|false}"
    )


def _listed(values: Three) -> str:
    return ", ".join(f"{value:g}" for value in values)
