"""Numbers of a dataset card that come from the manifests of its curation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from urbancross_mm.curation.card.blocks import Block, Figure, Section, Table, Text
from urbancross_mm.curation.core.records import DROPPED, FAILED, KEPT, Record, hash_of_records
from urbancross_mm.curation.core.report import NUMBER
from urbancross_mm.visualization import draw_histograms

# More reasons than this differ in their numbers only.
FEW, MOST = 10, 20

Manifests = Mapping[str, Mapping[str, Record]]


def stages(manifests: Manifests, metainfo: Sequence[Mapping[str, Any]] = ()) -> Section:
    """What every stage kept, and why it did not; and whether the annotations are made from it.

    Args:
        manifests (Mapping): Records of each stage by image.
        metainfo (Sequence[Mapping]): Of the annotation files. Defaults to ().

    Returns:
        Section: A table, and the reasons.
    """
    if not manifests:
        return Section('Curation', [Text('There is no record of a curation.')])
    rows, why = [], []
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
                'The annotations were not made from these records, but from earlier ones of '
                f'{", ".join(others)}: run tools/curate.py again, to its end.'
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
    """Find the stages whose records have changed since the export.

    Args:
        manifests (Mapping): Records of each stage by image.
        metainfo (Sequence[Mapping]): Of the annotation files; those that name no records, as of a
            converted dataset, say nothing.

    Returns:
        list[str]: Their names.
    """
    found = []
    for stage, records in manifests.items():
        name = f'manifest/{stage}.jsonl'
        told = {
            str(sources[name])
            for one in metainfo
            if isinstance(sources := one.get('sources'), dict) and name in sources
        }
        if told and told != {hash_of_records(records.values())}:
            found.append(stage)
    return found


def reasons(records: Mapping[str, Record]) -> dict[tuple[str, str], int]:
    """Count the reasons of a stage; many that differ in numbers alone become one.

    Args:
        records (Mapping[str, Record]): Of one stage.

    Returns:
        dict[tuple[str, str], int]: By status and reason, dropped and failed first, then by falling
        count; of very many the rarest are summed up.
    """
    found = Counter(
        (record.outcome.status, record.outcome.reason)
        for record in records.values()
        if record.outcome.reason
    )
    if len(found) > FEW:
        merged: Counter[tuple[str, str]] = Counter()
        for (status, reason), count in found.items():
            merged[status, NUMBER.sub('…', reason)] += count
        found = merged
    order = {DROPPED: 0, FAILED: 1, KEPT: 2}
    ranked = sorted(found.items(), key=lambda one: (-one[1], one[0]))
    rest: Counter[tuple[str, str]] = Counter()
    for (status, _), count in ranked[MOST:]:
        rest[status, 'other reasons'] += count
    ranked = sorted(
        [*ranked[:MOST], *rest.items()], key=lambda one: (order.get(one[0][0], 3), -one[1], one[0])
    )
    return dict(ranked)


def scores(manifests: Manifests) -> Section:
    """How image and caption, and segments and caption, were scored."""
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
    import numpy as np

    rows = []
    for name, values in groups.items():
        points = np.percentile(values, [0, 25, 50, 75, 100])
        rows.append([name, len(values), *(f'{point:.4f}' for point in points)])
    return Table(['score', 'images', 'least', '25 %', 'median', '75 %', 'most'], rows)
