"""A short report on a stage."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from urbancross_mm.curation.core.records import DROPPED, FAILED, KEPT

SHOWN = 5
# Images that share a reason differ in names of files and numbers.
_NAME = re.compile(r'\S*\.(?:bmp|jpe?g|json|png|tiff?)\b', re.IGNORECASE)
NUMBER = re.compile(r'-?\d+(?:[.,]\d+)*(?:[eE][-+]?\d+)?')

Reasons = Counter[tuple[str, str]]


@dataclass(frozen=True)
class Report:
    """Counts and reasons of a stage.

    Attributes:
        stage (str): Name of the stage.
        total (int): Number of images of the stage before.
        made (int): Number of images that were processed now; the others were done before.
        counts (Counter): Number of images by status.
        reasons (Counter): Number of images by (status, reason).
        remarks (tuple[str, ...]): Remarks that belong to no single image.
    """

    stage: str
    total: int
    made: int
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Reasons = field(default_factory=Counter)
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Counts and the most common reasons."""
        text = f'{self.stage}: {self.total} in, ' + ', '.join(
            f'{self.counts[status]} {status}'
            for status in (KEPT, DROPPED, FAILED)
            if self.counts[status] or status == KEPT
        )
        lines = [f'{text} ({self.made} made now)']
        ranked = group_reasons(self.reasons).most_common()
        lines += [f'{count} {status}: {reason}' for (status, reason), count in ranked[:SHOWN]]
        rest = sum(count for _, count in ranked[SHOWN:])
        if rest:
            lines.append(f'and {rest} others')
        return '\n    '.join([*lines, *self.remarks])


def group_reasons(reasons: Mapping[tuple[str, str], int]) -> Reasons:
    """Merge reasons that differ only in numbers and names of files."""
    similar: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for status, reason in reasons:
        plain = NUMBER.sub('…', _NAME.sub('…', reason))
        similar.setdefault((status, plain), []).append((status, reason))
    return Counter(
        {
            group if len(members) > 1 else members[0]: sum(reasons[member] for member in members)
            for group, members in similar.items()
        }
    )
