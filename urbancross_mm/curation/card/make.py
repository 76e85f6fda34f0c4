"""A dataset card: everything worth knowing before training on a dataset, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from urbancross_mm.curation.card import curation_facts, facts
from urbancross_mm.curation.card.blocks import Block, Card, Section, Table, Text
from urbancross_mm.curation.card.samples import samples
from urbancross_mm.curation.card.sources import Sources, manifest_files, read_sources
from urbancross_mm.datasets.verification.verify import check_splits
from urbancross_mm.structures.annotation_schema import FOLDERS


def make_card(
    paths: Sequence[str | Path],
    data_root: str | Path,
    manifest: str | Path | None = None,
    images: str = 'images',
    number: int = 6,
    seed: int = 0,
    pixels: bool = True,
    workers: int = 1,
    distance: int = 2,
) -> Card:
    """Describe a dataset.

    Args:
        paths (Sequence): Its annotation files.
        data_root (str | Path): Folder of the data.
        manifest (str | Path, optional): Records of its curation. Defaults to None:
            ``data_root/manifest``, if it is there.
        images (str): Folder of images below ``data_root``. Defaults to 'images'.
        number (int): Sample images of each split. Defaults to 6.
        seed (int): Of the choice of samples. Defaults to 0.
        pixels (bool): Decode every image to look for damaged and repeated ones; else files are
            only looked for. Defaults to True.
        workers (int): Threads that decode. Defaults to 1.
        distance (int): Bits of a 64-bit difference hash that may differ between images that look
            alike. Defaults to 2.

    Returns:
        Card: The same for the same files.

    Raises:
        FileNotFoundError: If a file or folder is missing.
        ValueError: If an annotation file or a manifest cannot be read.
    """
    if number < 0:
        raise ValueError(f'the number of samples must not be negative, got {number}')
    folder = Path(data_root) / images
    if not folder.is_dir():
        raise FileNotFoundError(f'no folder of images at {folder}')
    if manifest is None and manifest_files(Path(data_root) / 'manifest'):
        manifest = Path(data_root) / 'manifest'
    sources = read_sources(paths, manifest)
    sections = [
        facts.sizes(sources),
        facts.captions(sources),
        facts.vocabulary(sources),
        facts.tags(sources),
        facts.positions(sources),
        _findings(sources, data_root, images, pixels, workers, distance),
        curation_facts.stages(sources.manifests, sources.metainfo),
        curation_facts.scores(sources.manifests),
        *samples(sources, data_root, images, number, seed),
        facts.origin(sources),
    ]
    return Card(
        facts.dataset_name(sources.metainfo), [section for section in sections if section.blocks]
    )


def _findings(
    sources: Sources, data_root: str | Path, images: str, pixels: bool, workers: int, distance: int
) -> Section:
    """What splits share, and what is damaged."""
    report, splits = sources.report, sources.splits
    folders = {**FOLDERS, 'img_path': images}
    roots = {key: str(Path(data_root) / name) for key, name in folders.items()}
    check_splits(splits, roots, report, workers, distance, pixels)
    how = (
        'Every image was decoded and compared with those of the other splits.'
        if pixels
        else 'Images were looked for, but neither decoded nor compared.'
    )
    blocks: list[Block] = [Text(how)]
    if report.findings:
        blocks.append(
            Table(
                ['', 'what', 'how often', 'first'],
                [
                    [one.level, one.what, one.count, _without(one.examples[0], sources, data_root)]
                    for one in report.findings
                ],
            )
        )
    verdict = 'There are errors.' if report.failed else 'No error was found.'
    return Section('Leakage and defects', [*blocks, Text(verdict)])


def _without(example: str, sources: Sources, data_root: str | Path) -> str:
    """A card shall not depend on where the data lies."""
    for path in (split.path for split in sources.splits):
        example = example.replace(path, Path(path).name)
    return example.replace(f'{Path(data_root)}/', '')
