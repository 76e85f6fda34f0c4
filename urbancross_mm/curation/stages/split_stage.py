"""The stage that assigns images to splits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from urbancross_mm.curation.core.records import DROPPED, ImageRecord, Manifest, Outcome
from urbancross_mm.curation.core.stage import CollectionStage, Workspace
from urbancross_mm.curation.geo.blocks import blocks_of, blocks_to_try
from urbancross_mm.curation.geo.splits import (
    Groups,
    Tile,
    assign_splits,
    group_images,
    tile_of,
    too_close,
)
from urbancross_mm.datasets.splits import COUNTRY_FRACTIONS, FINETUNE_FRACTIONS
from urbancross_mm.registry import CURATION

# With fewer blocks, smaller ones are tried.
FEW_BLOCKS = 10
HINT = ' (tiles of one source file stay together unless block_meters=0)'


@CURATION.register_module()
class SplitStage(CollectionStage):
    """Splits images at random into train, val and test.

    The parts finetune and finetune_val are drawn from train and val. Equal files stay together.

    Images with a position are split by blocks, squares on the ground whose tiles stay together. At
    the border of two splits, a tile that overlaps a tile of the other split, or is nearer than the
    margin, is dropped: from train before val, never from test. (From finetune it is only left
    out.) An image without a position stays with those of its source file.

    Large margins and small blocks are expensive. With blocks of 4 tiles, a margin of one tile drops
    all training tiles in a ring around each block of another split.

    Args:
        seed (int): Random seed. Defaults to 0.
        test (float): Share of all images. Defaults to 0.2.
        val (float): Share of all images. Defaults to 0.1.
        finetune (float): Share of all images, for adaptation. Defaults to 0.2.
        finetune_val (float): Share of all images. Defaults to 0.1.
        stratify (str, optional): Field, such as 'label', whose values keep their shares in every
            split. Defaults to None.
        block_meters (float, optional): Side of the blocks. With 0, images are split one by one, and
            tiles that overlap may be in two splits. Defaults to None: 4 tile widths, or 2 or 1 if
            that gives fewer than ten blocks. Without bounds only tiles of one source file stay
            together.
        margin_meters (float): Smallest distance between tiles of two splits. Defaults to 0: only
            overlaps count.

    Raises:
        ValueError: If a share or length is out of range.
    """

    name = 'split'

    def __init__(
        self,
        seed: int = 0,
        test: float = COUNTRY_FRACTIONS['test'],
        val: float = COUNTRY_FRACTIONS['val'],
        finetune: float = FINETUNE_FRACTIONS['finetune'],
        finetune_val: float = FINETUNE_FRACTIONS['finetune_val'],
        stratify: str | None = None,
        block_meters: float | None = None,
        margin_meters: float = 0,
    ) -> None:
        if (
            min(test, val, finetune, finetune_val) < 0
            or test + val >= 1
            or test + finetune + finetune_val > 1 + 1e-9
        ):
            raise ValueError(
                'shares must not be negative, test + val must be below 1, and test + finetune + '
                'finetune_val at most 1; got '
                f'test={test}, val={val}, finetune={finetune}, finetune_val={finetune_val}'
            )
        if (block_meters or 0) < 0 or margin_meters < 0 or (block_meters == 0 and margin_meters):
            raise ValueError(
                'block_meters and margin_meters must not be negative, and a margin '
                f'needs blocks; got {block_meters} and {margin_meters}'
            )
        self.seed, self.stratify = seed, stratify
        self.shares = dict(test=test, val=val, train=1 - test - val)
        self.nested = dict(finetune=finetune, finetune_val=finetune_val)
        self.block_meters, self.margin_meters = block_meters, margin_meters
        self.reads = (
            'sha',
            'bounds',
            'lon',
            'lat',
            'metres',
            'source',
            *([stratify] if stratify else []),
        )
        self._remarks: list[str] = []

    def settings(self, workspace: Workspace) -> dict[str, Any]:
        """All options."""
        return dict(
            seed=self.seed,
            test=self.shares['test'],
            val=self.shares['val'],
            **self.nested,
            stratify=self.stratify,
            # Spelled as in existing manifests and annotation files.
            block_metres=self.block_meters,
            margin_metres=self.margin_meters,
        )

    def decide(self, images: Sequence[ImageRecord], workspace: Workspace) -> list[Outcome]:
        """Assign every image to a split.

        Raises:
            ValueError: If a split would be empty.
        """
        self._remarks = []
        if not images:
            raise ValueError('no image is left to split: the stages before dropped all or failed')
        tiles = {
            image.name: tile for image in images if (tile := tile_of(image.fields)) is not None
        }
        groups, block = self._groups(images, tiles)
        strata = (
            {image.name: str(image.fields.get(self.stratify)) for image in images}
            if self.stratify
            else None
        )
        split_of = self._assign(groups, self.shares, self.seed, strata, block)
        dropped = too_close(split_of, tiles, self.margin_meters) if block else {}
        kept = {name: split for name, split in split_of.items() if name not in dropped}
        self._check_not_empty(split_of.values(), kept)
        left = [
            rest
            for group in groups
            if (rest := [name for name in group if kept.get(name, 'test') != 'test'])
        ]
        part_of = self._finetune(left, len(kept), strata, tiles, block)
        self._note_moved(kept, workspace)
        return [
            Outcome(status=DROPPED, reason=self._why(split_of[name], *dropped[name]))
            if (name := image.name) in dropped
            else Outcome(dict(split=split_of[name], finetune=part_of.get(name)))
            for image in images
        ]

    def summary(self, images: Sequence[ImageRecord], workspace: Workspace) -> list[str]:
        """Number and size of the blocks, and images that moved to test."""
        return self._remarks

    def _groups(
        self, images: Sequence[ImageRecord], tiles: Mapping[str, Tile]
    ) -> tuple[list[list[str]], float]:
        """Images that stay together, and the side of the blocks in meters (0: no blocks)."""
        names = [image.name for image in images]
        shas = {image.name: image.fields.get('sha') for image in images}
        tries = blocks_to_try(tiles, self.block_meters, self.margin_meters)
        while True:
            block, remarks = tries.pop(0)
            # Tiles of one raster are neighbors, also if its position is unknown.
            blocks = {} if self.block_meters == 0 else blocks_of(images, tiles, block)
            groups = group_images(names, shas, blocks)
            count = sum(any(name in tiles for name in group) for group in groups)
            if count >= FEW_BLOCKS or not tries:
                self._remarks += [remark.format(count) for remark in remarks]
                return groups, block

    def _note_moved(self, kept: Mapping[str, str], workspace: Workspace) -> None:
        """Count images that moved to test: one image more or less assigns all blocks again."""
        try:
            exported = Manifest(workspace.out / 'manifest' / 'export.jsonl').read()
        except ValueError:
            return  # a damaged file; ExportStage writes it again
        before = {name: record.outcome.fields.get('split') for name, record in exported.items()}
        moved = sum(
            before.get(name) in ('train', 'val') for name, split in kept.items() if split == 'test'
        )
        if moved:
            self._remarks.append(
                f'{moved} test images were in train or val in the last export: a model trained '
                'on that has seen them'
            )

    def _finetune(
        self,
        groups: Groups,
        total: int,
        strata: Mapping[str, str] | None,
        tiles: Mapping[str, Tile],
        block: float,
    ) -> dict[str, str]:
        """Parts of the images that are not test, for training and validation of an adaptation."""
        size = sum(map(len, groups))
        shares = {part: share * total / size for part, share in self.nested.items() if share}
        if not shares:
            return {}
        wanted, unused = list(shares), 1 - sum(shares.values())
        if unused * size >= 0.5 and len(groups) > len(shares):
            shares['unused'] = unused
        # A margin may have left fewer images than the shares need.
        shares = {part: share / sum(shares.values()) for part, share in shares.items()}
        drawn = self._assign(groups, shares, self.seed + 1, strata, block)
        dropped = too_close(drawn, tiles, self.margin_meters, wanted) if block else {}
        parts = {
            name: part for name, part in drawn.items() if part in wanted and name not in dropped
        }
        self._check_not_empty(wanted, parts)
        return parts

    def _assign(
        self,
        groups: Groups,
        shares: Mapping[str, float],
        seed: int,
        strata: Mapping[str, str] | None,
        block: float,
    ) -> dict[str, str]:
        wanted = {split: share for split, share in shares.items() if share > 0}
        try:
            return assign_splits(groups, wanted, seed, strata)
        except ValueError as error:
            what = f'blocks of {block:g} m (block_meters)' if block else 'distinct images'
            raise ValueError(
                f'{len(groups)} {what} cannot fill {", ".join(wanted)}: take more images'
                f'{", smaller blocks" if block else ""} or a share of 0'
                f'{HINT if not block and self.block_meters is None else ""}'
            ) from error

    def _check_not_empty(self, wanted: Iterable[str], left: Mapping[str, str]) -> None:
        empty = sorted(set(wanted) - set(left.values()))
        if empty:
            raise ValueError(
                f'no image is left for {" and ".join(empty)}: all overlap tiles of another split '
                f'or are within {self.margin_meters:g} m of one; take larger blocks or a smaller '
                'margin'
            )

    def _why(self, split: str, other: str, distance: float) -> str:
        how = 'overlaps' if distance < 0 else f'is within {self.margin_meters:g} m of'
        return f'{split} tile {how} one of {other}'
