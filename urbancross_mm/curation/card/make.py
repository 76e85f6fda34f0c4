"""Makes a dataset card: what to know before training on a dataset, on one page."""

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
        paths (Sequence): Annotation files of the dataset.
        data_root (str | Path): Folder of the data.
        manifest (str | Path, optional): Folder of the manifests of its curation. Defaults to None:
            ``data_root/manifest``, if it exists.
        images (str): Folder of images below ``data_root``. Defaults to 'images'.
        number (int): Number of sample images per split. Defaults to 6.
        seed (int): Random seed of the samples. Defaults to 0.
        pixels (bool): Decode every image to find damaged and repeated ones. Otherwise only missing
            files are found. Defaults to True.
        workers (int): Number of threads that decode. Defaults to 1.
        distance (int): Most bits of a 64-bit difference hash that differ between near-duplicate
            images. Defaults to 2.

    Returns:
        Card: The card, the same for the same files.

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
    """Leakage between splits, and damaged files."""
    report, splits = sources.report, sources.splits
    folders = {**FOLDERS, 'img_path': images}
    roots = {key: str(Path(data_root) / name) for key, name in folders.items()}
    check_splits(splits, roots, report, workers, distance, pixels)
    how = (
        'Every image was decoded and compared with those of the other splits.'
        if pixels
        else 'Missing images were looked for. No image was decoded or compared.'
    )
    blocks: list[Block] = [Text(how)]
    if report.findings:
        blocks.append(
            Table(
                ['', 'what', 'how often', 'first'],
                [
                    [
                        finding.level,
                        finding.what,
                        finding.count,
                        _without_folders(finding.examples[0], sources, data_root),
                    ]
                    for finding in report.findings
                ],
            )
        )
    verdict = 'There are errors.' if report.failed else 'No error was found.'
    return Section('Leakage and defects', [*blocks, Text(verdict)])


def _without_folders(example: str, sources: Sources, data_root: str | Path) -> str:
    """An example that does not depend on the folder of the data."""
    for path in (split.path for split in sources.splits):
        example = example.replace(path, Path(path).name)
    return example.replace(f'{Path(data_root)}/', '')
