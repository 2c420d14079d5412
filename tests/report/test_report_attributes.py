"""The table of attributes: the hardest first, and what is not defined at the end, as an empty cell."""

from __future__ import annotations

import numpy as np

from omnireid.evaluation.attributes import AttributeScores
from omnireid.report.attributes import attribute_rows, attribute_table


def test_the_hardest_come_first_and_what_is_not_defined_last() -> None:
    true = np.array([[1, 1, 0], [1, 1, 1], [1, 0, 0], [1, 0, 1]], bool)
    said = np.array([[1, 1, 1], [0, 1, 1], [1, 0, 1], [1, 0, 1]], bool)
    rows = attribute_rows(["hat", "bag, large", "coat"], AttributeScores(said, true))
    assert attribute_table(rows) == (
        "attribute,mean_accuracy,share,share_said\n"
        "coat,0.5,0.5,1.0\n"
        '"bag, large",1.0,0.5,0.5\n'
        "hat,,1.0,0.75\n"
    )
