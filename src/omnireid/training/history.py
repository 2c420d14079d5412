"""What a run keeps of its epochs: their means, which is the best, and a line for whoever watches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from torch.utils.tensorboard import SummaryWriter

from omnireid.core.record import BestEpochRecord


@dataclass
class Meter:
    """Running sums of one epoch."""

    images: int = 0
    sums: dict[str, float] = field(default_factory=dict)

    def add(self, values: dict[str, float], images: int) -> None:
        self.images += images
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * images

    def means(self) -> dict[str, float]:
        return {name: total / self.images for name, total in self.sums.items()}


def best_epoch(history: Iterable[dict[str, float]], evaluated_on: str) -> BestEpochRecord | None:
    """The first of the evaluated epochs with the highest score; None where none was evaluated."""
    best: BestEpochRecord | None = None
    for row in history:
        score = _score(row)
        if score is not None and (best is None or score[1] > best.value):
            best = BestEpochRecord(
                epoch=int(row["epoch"]), metric=score[0], value=score[1], evaluated_on=evaluated_on
            )
    return best


def why_best(best: BestEpochRecord) -> str:
    """What the card of the best weights says of their choice."""
    where = f" on {best.evaluated_on}" if best.evaluated_on else ""
    return (
        f"The best of the epochs evaluated: epoch {best.epoch}, {best.metric} {best.value:.3f}{where}. It "
        "was chosen by that figure, which is therefore optimistic."
    )


def line_of(row: dict[str, float], epochs: int) -> str:
    """An epoch as progress shows it."""
    extra = "".join(f"  {name} {row[name]:.3f}" for name in ("rank1", "mAP", "mA") if name in row)
    return (
        f"epoch {row['epoch']:>3.0f}/{epochs}  loss {row['loss']:.3f}  accuracy {row['accuracy']:.3f}  "
        f"lr {row['lr']:.2g}  {row['images_per_second']:.0f} images/s  "
        f"waiting for data {row['data_wait_share']:.1%}{extra}"
    )


def write_scalars(writer: SummaryWriter | None, values: dict[str, float], epoch: int) -> None:
    """Show an epoch's values in TensorBoard, where this process has a writer."""
    if writer is None:
        return
    for name, value in values.items():
        if name != "epoch":
            writer.add_scalar(name, value, epoch)


def _score(row: dict[str, float]) -> tuple[str, float] | None:
    """What epochs are compared by: mAP, else rank-1, else mA; over several data the mean."""
    for metric in ("mAP", "rank1", "mA"):
        values = [value for name, value in row.items() if name.rpartition("/")[2] == metric]
        if values:
            return metric, sum(values) / len(values)
    return None
