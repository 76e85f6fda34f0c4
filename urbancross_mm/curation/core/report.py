"""What a stage did, in a few lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from urbancross_mm.curation.core.records import DROPPED, FAILED, KEPT

SHOWN = 5
# What differs between images that share a reason: names of files, and numbers.
_NAME = re.compile(r'\S*\.(?:bmp|jpe?g|json|png|tiff?)\b', re.IGNORECASE)
NUMBER = re.compile(r'-?\d+(?:[.,]\d+)*(?:[eE][-+]?\d+)?')

Reasons = Counter[tuple[str, str]]


@dataclass(frozen=True)
class Report:
    """What a stage did.

    Attributes:
        stage (str): Its name.
        total (int): Images that came in.
        made (int): Images that were worked on now; the others were done before.
        counts (Counter): Images by status.
        reasons (Counter): Images by (status, reason), where there is a reason.
        remarks (tuple[str, ...]): What belongs to no single image.
    """

    stage: str
    total: int
    made: int
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Reasons = field(default_factory=Counter)
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Counts, and the commonest reasons."""
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
    """Count reasons together that differ in numbers and names of files alone.

    Args:
        reasons (Mapping): Images by (status, reason).

    Returns:
        Counter: The same; a reason that is like no other keeps its words.
    """
    alike: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for status, reason in reasons:
        plain = NUMBER.sub('…', _NAME.sub('…', reason))
        alike.setdefault((status, plain), []).append((status, reason))
    return Counter(
        {
            group if len(members) > 1 else members[0]: sum(reasons[one] for one in members)
            for group, members in alike.items()
        }
    )
