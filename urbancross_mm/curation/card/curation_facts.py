"""Sections of a dataset card about its curation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from urbancross_mm.curation.card.blocks import Block, Figure, Section, Table, Text, Value
from urbancross_mm.curation.core.records import DROPPED, FAILED, KEPT, Record, hash_of_records
from urbancross_mm.curation.core.report import NUMBER
from urbancross_mm.visualization import draw_histograms

# From FEW reasons on, those that differ only in numbers are merged; MOST are shown.
FEW, MOST = 10, 20

Manifests = Mapping[str, Mapping[str, Record]]


def stages(manifests: Manifests, metainfo: Sequence[Mapping[str, Any]] = ()) -> Section:
    """Counts and reasons of every stage, and whether the annotations belong to them."""
    if not manifests:
        return Section('Curation', [Text('There is no record of a curation.')])
    rows: list[list[Value]] = []
    why: list[list[Value]] = []
    for stage, records in manifests.items():
        counts = Counter(record.outcome.status for record in records.values())
        made_by = next(iter(records.values())).made_by.get('stage', '') if records else ''
        rows.append(
            [
                stage,
                str(made_by),
                len(records),
                *(counts[status] for status in (KEPT, DROPPED, FAILED)),
            ]
        )
        why += [
            [stage, status, reason, count] for (status, reason), count in reasons(records).items()
        ]
    others = other_records(manifests, metainfo)
    blocks: list[Block] = (
        [
            Text(
                f'The annotations do not belong to these records of {", ".join(others)}: run '
                'tools/curate.py again.'
            )
        ]
        if others
        else []
    )
    blocks += [Table(['stage', 'by', 'images', KEPT, DROPPED, FAILED], rows)]
    if why:
        blocks.append(Table(['stage', 'images were', 'because', 'how many'], why))
    return Section('Curation', blocks)


def other_records(manifests: Manifests, metainfo: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the stages whose records have changed since the export."""
    changed = []
    for stage, records in manifests.items():
        name = f'manifest/{stage}.jsonl'
        exported = {
            str(sources[name])
            for part in metainfo
            if isinstance(sources := part.get('sources'), dict) and name in sources
        }
        if exported and exported != {hash_of_records(records.values())}:
            changed.append(stage)
    return changed


def reasons(records: Mapping[str, Record]) -> dict[tuple[str, str], int]:
    """Counts of the reasons of a stage, dropped and failed first, then by count.

    Many reasons that differ only in numbers are merged, and the rarest are summed up.
    """
    counts = Counter(
        (record.outcome.status, record.outcome.reason)
        for record in records.values()
        if record.outcome.reason
    )
    if len(counts) > FEW:
        merged: Counter[tuple[str, str]] = Counter()
        for (status, reason), count in counts.items():
            merged[status, NUMBER.sub('…', reason)] += count
        counts = merged
    order = {DROPPED: 0, FAILED: 1, KEPT: 2}
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    rest: Counter[tuple[str, str]] = Counter()
    for (status, _), count in ranked[MOST:]:
        rest[status, 'other reasons'] += count
    ranked = sorted(
        [*ranked[:MOST], *rest.items()],
        key=lambda pair: (order.get(pair[0][0], 3), -pair[1], pair[0]),
    )
    return dict(ranked)


def scores(manifests: Manifests) -> Section:
    """Scores of captions and segments, and numbers of segments."""
    section = Section('Scores')
    scored = {
        name: record.outcome.fields['score']
        for name, record in manifests.get('score', {}).items()
        if isinstance(record.outcome.fields.get('score'), int | float)
    }
    if scored:
        groups = _by_filter(scored, manifests.get('filter', {}))
        section.blocks += [
            _quartiles(groups),
            Figure(
                'scores',
                draw_histograms(groups, 'score of image and caption'),
                'Score of image and caption',
            ),
        ]
    segmented = [
        record.outcome.fields
        for record in manifests.get('segment', {}).values()
        if record.outcome.status == KEPT
    ]
    numbers = [fields.get('num_segments', 0) for fields in segmented]
    values = [score for fields in segmented for score in fields.get('segment_scores') or ()]
    if numbers:
        section.blocks.append(
            Figure(
                'segment-counts',
                draw_histograms(dict(images=numbers), 'segments of an image', whole=True),
                'Segments of an image',
            )
        )
    if values:
        section.blocks.append(
            Figure(
                'segment-scores',
                draw_histograms(dict(segments=values), 'score of a segment'),
                'Scores of the segments',
            )
        )
    return section


def _by_filter(
    scored: Mapping[str, float], records: Mapping[str, Record]
) -> dict[str, list[float]]:
    """Scores of the images that the filter kept, and of those that it dropped."""
    groups: dict[str, list[float]] = {}
    for status in (KEPT, DROPPED):
        values = [
            score
            for name, score in scored.items()
            if name in records and records[name].outcome.status == status
        ]
        if values:
            groups[f'{status} by the filter'] = values
    return groups or dict(all=list(scored.values()))


def _quartiles(groups: Mapping[str, list[float]]) -> Table:
    rows: list[list[Value]] = []
    for name, values in groups.items():
        points = np.percentile(values, [0, 25, 50, 75, 100])
        rows.append([name, len(values), *(f'{point:.4f}' for point in points)])
    return Table(['score', 'images', 'least', '25 %', 'median', '75 %', 'most'], rows)
