"""What a verification found, as a table and a list."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

LEVELS = ('error', 'warning', 'info')


@dataclass
class Finding:
    """One kind of problem.

    Attributes:
        level (str): 'error', 'warning' or 'info'.
        what (str): The problem.
        count (int): How often.
        examples (list[str]): The first few.
    """

    level: str
    what: str
    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True, order=True)
class SharedImage:
    """An image that another dataset has too.

    Attributes:
        kind (str): 'identical' (its bytes or its pixels) or 'similar'.
        file (str): Annotation file.
        image (str): Its ``img_path`` there.
        other_file (str): Annotation file of the other dataset.
        other_image (str): Its ``img_path`` there.
    """

    kind: str
    file: str
    image: str
    other_file: str
    other_image: str


class Report:
    """Collects findings; the first ``shown`` examples of each are kept.

    Args:
        shown (int): Examples to keep. Defaults to 5.
    """

    def __init__(self, shown: int = 5) -> None:
        self.shown = shown
        self.rows: list[dict[str, Any]] = []
        self.shared: list[SharedImage] = []
        self._findings: dict[tuple[str, str], Finding] = {}

    def add(self, level: str, what: str, example: str) -> None:
        """Note an example of a kind of problem, of the level 'error', 'warning' or 'info'."""
        finding = self._findings.setdefault((level, what), Finding(level, what))
        finding.count += 1
        if len(finding.examples) < self.shown:
            finding.examples.append(example)

    @property
    def findings(self) -> list[Finding]:
        """All findings, errors first."""
        return sorted(self._findings.values(), key=lambda finding: LEVELS.index(finding.level))

    @property
    def failed(self) -> bool:
        """Whether there is an error."""
        return any(finding.level == 'error' for finding in self.findings)

    def to_text(self) -> str:
        """A table of the files and the list of findings."""
        lines = _table(self.rows)
        for finding in self.findings:
            lines += ['', f'{finding.level.upper()}: {finding.what}: {finding.count}']
            lines += [f'  {example}' for example in finding.examples]
            if finding.count > len(finding.examples):
                lines.append('  ...')
        totals = Counter({level: 0 for level in LEVELS[:2]})
        for finding in self.findings:
            totals[finding.level] += finding.count
        result = 'FAILED' if self.failed else 'passed'
        return '\n'.join(
            [*lines, '', f'{result}: {totals["error"]} errors, {totals["warning"]} warnings', '']
        )


def _table(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    cells = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return [
        '  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells
    ]
