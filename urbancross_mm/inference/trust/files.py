"""The files of a report: a page, its numbers, and sheets of what fits nothing."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from urbancross_mm.inference.trust.calibration import CALIBRATION
from urbancross_mm.inference.trust.coverage import Group
from urbancross_mm.inference.trust.report import Report
from urbancross_mm.inference.trust.verdict import STEPS
from urbancross_mm.models.adaptation.target_items import TargetItems
from urbancross_mm.utils.files import write_all
from urbancross_mm.utils.images import read_image
from urbancross_mm.visualization.image_grid import draw_image_grid

ON_A_SHEET = 24
# Heading, name in the numbers, and meaning of each measure of the page.
FACTS = (
    ('missing texts', 'missing_texts', 'images with clearly better texts in the source'),
    ('missing images', 'missing_images', 'texts with clearly better images in the source'),
    ('shared', 'shared', 'images and texts vary in the same directions'),
    ('text within', 'text_within', 'what sets texts apart sets images apart too'),
    ('image within', 'image_within', 'what sets images apart sets texts apart too'),
    ('image coverage', 'image_coverage', 'share of images in groups that texts take'),
    ('text coverage', 'text_coverage', 'share of texts in groups that images take'),
    ('stability', 'stability', 'agreement of plans on halves of the target'),
    ('support', 'support', 'the structure of one half predicts scores of the other'),
    ('sharpness', 'sharpness', 'how far groups of images have texts of their own'),
    ('fit', 'fit', 'similar images are given similar texts'),
    ('kept', 'kept', 'correlation of the scores of both models'),
)


def write_report(report: Report, out: Path, about: Mapping[str, Any]) -> list[Path]:
    """Write ``report.md``, ``report.json`` and the sheets.

    Args:
        report (Report): What to write.
        out (Path): Folder; made if need be.
        about (Mapping): What else to note, such as the checkpoints.

    Returns:
        list[Path]: The files.
    """
    content = dict(
        about,
        verdict=report.verdict.name,
        reason=report.verdict.reason,
        gain_percent=report.gain._asdict(),
        calibration=CALIBRATION._asdict(),
        measures=report.measured,
        image_groups=[group._asdict() for group in report.coverage.images],
        text_groups=[group._asdict() for group in report.coverage.texts],
    )
    every = report.everything
    files: dict[str | Path, bytes | str] = {
        out / 'report.json': json.dumps(content, indent=2) + '\n',
        out / 'report.md': markdown(report, about),
        out / 'images_left.csv': _table(
            ('img_id', 'img_path', 'mass'),
            (
                (every.img_ids[i], every.img_paths[i], f'{mass:.3f}')
                for i, mass in zip(*report.left[0])
            ),
        ),
        out / 'texts_left.csv': _table(
            ('text', 'mass'),
            ((every.texts[t], f'{mass:.3f}') for t, mass in zip(*report.left[1])),
        ),
    }
    groups = sorted(report.coverage.images, key=lambda group: group.mass)
    for name, items, rows in (
        ('images_left', every, report.left[0].rows[:ON_A_SHEET]),
        ('image_groups', report.items, [row for group in groups for row in group.examples]),
    ):
        sheet = _sheet(items, rows)
        if sheet:
            files[out / f'{name}.png'] = sheet
    write_all(files)
    return [Path(path) for path in files]


def markdown(report: Report, about: Mapping[str, Any]) -> str:
    """The report as a page.

    Args:
        report (Report): What to write.
        about (Mapping): What else to note.

    Returns:
        str: Markdown.
    """
    numbers, gain = report.measured, report.gain
    outside = (
        f'\nBeyond the runs of the calibration: {", ".join(gain.outside)}. Trust it less.\n'
        if gain.outside
        else ''
    )
    changes = '\n'.join(
        f'| {name} | {numbers[f"{name}_before"]:.3f} | {numbers[f"{name}_after"]:.3f} |'
        for name in ('agreement', 'hubness', 'followed', 'score')
    )
    return f"""# {report.verdict.name}

{report.verdict.reason[0].upper()}{report.verdict.reason[1:]}.

| estimated gain in mR over the source model | {gain.gain:+.0f} % |
|---|---|
| with its error | {gain.low:+.0f} % to {gain.high:+.0f} % |
| steps | {numbers['steps']:.0f}, of at least {STEPS} |
| measured on | {numbers['images']:.0f} images, {numbers['texts']:.0f} distinct texts |
{''.join(f'| {name} | {value} |{chr(10)}' for name, value in about.items())}{outside}
The estimate was learned from {CALIBRATION.runs} runs on {CALIBRATION.pairs} domain pairs of RSICD
and UC Merced with linear heads. On runs that came later it was too high: take the verdict, not the
number. Captions of fifty tiles say more than both.

| measure, up to 1 | value | what it says |
|---|---|---|
{_facts(numbers)}

| score | before | after |
|---|---|---|
{changes}

Neither a rise nor a fall of agreement or hubness proves anything.

## Images by group

{_groups(report.coverage.images, report.coverage.texts, report.items.img_ids, report.items.texts)}

## Texts by group

{_groups(report.coverage.texts, report.coverage.images, report.items.texts, report.items.img_ids)}

{len(report.left[0].rows)} images that no text takes: images_left.csv and images_left.png.
{len(report.left[1].rows)} texts that no image takes: texts_left.csv.
"""


def _facts(numbers: Mapping[str, float]) -> str:
    return '\n'.join(f'| {name} | {numbers[key]:.2f} | {words} |' for name, key, words in FACTS)


def _groups(
    groups: Sequence[Group],
    others: Sequence[Group],
    names: Sequence[str],
    other_names: Sequence[str],
) -> str:
    """A table, the group that loses most first."""
    lines = [
        '| items | taken | such as | paired most with | share |',
        '|---|---|---|---|---|',
    ]
    for group in sorted(groups, key=lambda group: group.mass):
        example, partner = (
            label.replace('|', '/')
            for label in (names[group.examples[0]], other_names[others[group.partner].examples[0]])
        )
        lines.append(
            f'| {group.size} | {group.mass:.2f} | {example} | {partner} | {group.share:.2f} |'
        )
    return '\n'.join(lines)


def _table(header: Sequence[str], rows: Any) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _sheet(items: TargetItems, rows: Sequence[int]) -> bytes | None:
    """A grid of images; None if their files are not there, as with features alone."""
    there = [row for row in rows if Path(items.img_paths[row]).is_file()]
    if not there:
        return None
    images = [read_image(items.img_paths[row])[0] for row in there]
    sheet = draw_image_grid(images, [items.img_ids[row] for row in there])
    png = io.BytesIO()
    Image.fromarray(sheet).save(png, 'png')
    return png.getvalue()
