"""Samples a second of the segment pipeline, against one JPEG decode a segment.

Both sides read the same generated images and give normalized float batches on one CPU thread:

- ours: one image and one RLE sidecar a sample; masks move as a bit field, the segments are
  composed on the batch by ``RetrievalDataPreprocessor`` (here on the CPU; with a GPU that part
  leaves the CPU, so loading alone is timed too);
- published layout: one image and K segment images per sample, each decoded, resized, turned
  into a float tensor and normalized on its own.

    python benchmarks/segment_pipeline.py --sizes 224 256 512

Touching the fresh float buffer of a batch costs page faults. Our preprocessor takes it in huge
pages; with ``THP_MEM_ALLOC_ENABLE=1`` torch itself does, which helps the published side.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import timing  # before torch: it pins the threads, and finds the package
import torch
from mmengine.dataset import pseudo_collate
from PIL import Image

from urbancross_mm.datasets import ImageTextDataset, OpenCLIPTokenizer
from urbancross_mm.models.data_preprocessor import RetrievalDataPreprocessor

TRAIN_SIZE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAPTION = 'several buildings with gray roofs stand along a road beside a green sports field'


def main() -> None:
    """Measure every image size and print one table."""
    args = parse_args()
    torch.set_num_threads(1)
    rows = []
    for size in args.sizes:
        with tempfile.TemporaryDirectory() as folder:
            bytes_ours, bytes_published = write_data(Path(folder), size, args)
            ours = Ours(Path(folder), args.segments)
            published = Published(Path(folder), args.segments)
            check_same_types(ours, published)
            timings = timing.compare(
                {
                    'JPEG a segment (published layout)': published.batch,
                    'RLE sidecar, composed on the CPU': ours.batch,
                    'RLE sidecar, loading alone': ours.load,
                },
                repeats=args.repeats,
            )
        for one, size_bytes in zip(timings, (bytes_published, bytes_ours, bytes_ours)):
            rows.append(
                [
                    f'{size} px',
                    one.name,
                    f'{args.samples / one.cpu_seconds:.0f}',
                    f'{1 / one.ratio:.1f}x',
                    f'{size_bytes / 1000:.1f} kB',
                ]
            )
    print(
        timing.settings(
            K=args.segments,
            batch=args.samples,
            training_size=TRAIN_SIZE,
            quality=args.quality,
            huge_pages=os.environ.get('THP_MEM_ALLOC_ENABLE', '0') == '1',
        )
    )
    print()
    print(
        timing.markdown(
            ['images', 'layout', 'samples a CPU second', 'speed', 'on disk an image'], rows
        )
    )


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--sizes',
        type=int,
        nargs='+',
        default=[224, 256, 512],
        help='sides of the images on disk, in pixels',
    )
    parser.add_argument('--segments', type=int, default=10, help='K')
    parser.add_argument('--samples', type=int, default=20, help='samples per batch')
    parser.add_argument('--repeats', type=int, default=7, help='rounds')
    parser.add_argument(
        '--quality',
        type=int,
        default=75,
        help='of all JPEGs; 75 is the default of PIL, 95 that of OpenCV',
    )
    parser.add_argument('--mask-size', type=int, default=256, help='longest side of stored masks')
    return parser.parse_args()


def scene(size: int, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A textured image, and the masks ``(K, H, W)`` of its largest regions, which cover most.

    The texture is such that a JPEG is as large as one of a real aerial image of that size.
    """
    num_regions = count + 2
    region = np.stack([noise(size, rng, 6) for _ in range(num_regions)]).argmax(axis=0)
    colors = rng.integers(40, 216, (num_regions, 3))
    texture = sum(noise(size, rng, cells) * scale for cells, scale in ((12, 20), (60, 14)))
    grain = rng.normal(0, 4, (size, size, 1))
    image = np.clip(colors[region] + texture[..., None] + grain, 0, 255).astype(np.uint8)
    largest = np.argsort(-np.bincount(region.ravel(), minlength=num_regions))[:count]
    return image, region == largest[:, None, None]


def noise(size: int, rng: np.random.Generator, cells: int) -> np.ndarray:
    """Smooth noise with this many cells a side."""
    coarse = Image.fromarray(rng.normal(size=(cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC))


def write_data(root: Path, size: int, args: argparse.Namespace) -> tuple[float, float]:
    """Write both layouts; returns bytes per image of ours and of the published one."""
    rng = np.random.default_rng(0)
    items, ours, published = [], 0, 0
    for name in ('images', 'segments', 'image_segments', 'annotations'):
        (root / name).mkdir()
    for index in range(args.samples):
        image, masks = scene(size, args.segments, rng)
        path = root / 'images' / f'{index}.jpg'
        Image.fromarray(image).save(path, quality=args.quality)
        files = write_published(root / 'image_segments' / str(index), image, masks, args.quality)
        sidecar = root / 'segments' / f'{index}.json'
        sidecar.write_text(json.dumps(make_sidecar(masks, args.mask_size)))
        ours += path.stat().st_size + sidecar.stat().st_size
        published += path.stat().st_size + sum(file.stat().st_size for file in files)
        items.append(
            dict(
                img_id=f'b/{index}',
                img_path=path.name,
                captions=[f'{CAPTION} {index}'],
                segments=sidecar.name,
            )
        )
    metainfo = dict(schema=1, dataset='bench', domain='bench', split='train')
    (root / 'annotations' / 'bench.json').write_text(
        json.dumps(dict(metainfo=metainfo, data_list=items))
    )
    return ours / args.samples, published / args.samples


def write_published(folder: Path, image: np.ndarray, masks: np.ndarray, quality: int) -> list[Path]:
    """The image once a mask, white outside."""
    folder.mkdir()
    files = [folder / f'{folder.name}_{k}.jpg' for k in range(len(masks))]
    for file, mask in zip(files, masks):
        painted = np.where(mask[..., None], image, 255).astype(np.uint8)
        Image.fromarray(painted).save(file, quality=quality)
    return files


def make_sidecar(masks: np.ndarray, mask_size: int) -> dict[str, Any]:
    """The masks as compressed RLE, at most ``mask_size`` a side."""
    from pycocotools import mask as coco

    size = masks.shape[1]
    side = min(size, mask_size)
    segments = []
    for k, mask in enumerate(masks):
        small = Image.fromarray(mask.astype(np.uint8)).resize(
            (side, side), Image.Resampling.NEAREST
        )
        rle = coco.encode(np.asfortranarray(np.asarray(small)))
        segments.append(
            dict(
                counts=rle['counts'].decode(),
                score=1 - k / 100,
                area=int(mask.sum()),
                bbox=[0, 0, size, size],
            )
        )
    return dict(image_size=[size, size], size=[side, side], source='exact', segments=segments)


class Ours:
    """The pipeline of the configs and the data preprocessor."""

    def __init__(self, root: Path, num_segments: int) -> None:
        self.dataset = ImageTextDataset(
            'annotations/bench.json',
            str(root),
            pipeline=[
                dict(type='LoadImage'),
                dict(type='LoadSegments', num_segments=num_segments),
                dict(type='ResizeImage', scale=278, interpolation='bilinear'),
                dict(type='RandomRotate', degrees=(0, 90), interpolation='nearest'),
                dict(type='RandomCropImage', size=TRAIN_SIZE),
                dict(type='TokenizeText', tokenizer=dict(type='OpenCLIPTokenizer')),
                dict(type='PackRetrievalInputs'),
            ],
        )
        self.preprocessor = RetrievalDataPreprocessor(stats='imagenet', num_segments=num_segments)

    def load(self) -> dict[str, Any]:
        """What the loader's workers do; a GPU does the rest."""
        return pseudo_collate([self.dataset[i] for i in range(len(self.dataset))])

    def batch(self) -> dict[str, torch.Tensor]:
        """Load and prepare every sample once."""
        return self.preprocessor(self.load(), training=True)['inputs']


class Published:
    """One decode a segment, with the transforms of the published config."""

    def __init__(self, root: Path, num_segments: int) -> None:
        from torchvision import transforms

        tensor = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
        self.augment = transforms.Compose(
            [
                transforms.Resize((278, 278)),
                transforms.RandomRotation((0, 90)),
                transforms.RandomCrop(TRAIN_SIZE),
                *tensor,
            ]
        )
        self.plain = transforms.Compose([transforms.Resize((TRAIN_SIZE, TRAIN_SIZE)), *tensor])
        self.tokenizer = OpenCLIPTokenizer()
        self.images = sorted((root / 'images').iterdir(), key=lambda file: int(file.stem))
        self.root, self.num_segments = root, num_segments

    def batch(self) -> dict[str, torch.Tensor]:
        """Load and prepare every sample once."""
        samples = [self.sample(file) for file in self.images]
        return {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}

    def sample(self, file: Path) -> dict[str, torch.Tensor]:
        """One image and its segments."""
        folder = self.root / 'image_segments' / file.stem
        segments = [
            self.plain(Image.open(folder / f'{file.stem}_{k}.jpg').convert('RGB'))
            for k in range(self.num_segments)
        ]
        return dict(
            image=self.augment(Image.open(file).convert('RGB')),
            segments=torch.stack(segments),
            text=self.tokenizer([f'{CAPTION} {file.stem}'])[0],
        )


def check_same_types(ours: Ours, published: Published) -> None:
    """Both sides must give the same shapes and types, or the race means nothing."""
    batch, theirs = ours.batch(), published.batch()
    for key, value in theirs.items():
        if batch[key].shape != value.shape or batch[key].dtype != value.dtype:
            raise RuntimeError(
                f'{key}: {batch[key].shape} {batch[key].dtype} against {value.shape} {value.dtype}'
            )


if __name__ == '__main__':
    main()
