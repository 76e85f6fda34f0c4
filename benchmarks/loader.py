"""Samples a second of the image loader, against open_clip's and mmpretrain's, in one run.

Every candidate reads the same JPEG files on one CPU thread and gives tensors of 3 x 224 x 224:

- ours: ``LoadImage``, ``ResizeImage`` and ``PackRetrievalInputs``; uint8, normalized later on the
  device of the model. With simplejpeg as installed, with Pillow alone (without the optional
  package), and with ``draft``, which lets the decoder shrink the image;
- resized before the colors are converted: YCbCr from the decoder, resized, then RGB;
- open_clip: its transform for evaluation (Pillow, bicubic, float, normalized);
- mmpretrain: ``LoadImageFromFile``, ``Resize`` (OpenCV, bicubic; it does not antialias) and the
  tensor of ``PackInputs``; uint8, too.

The last column is what became of the pixels: the difference to decoding all of the image and
resizing it, in gray levels, the largest and the mean.

    python benchmarks/loader.py --sizes 256 512 1024 2048
    python benchmarks/loader.py --images data/mytiles/images
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import timing  # before torch: it pins the threads, and finds the package
import torch
from PIL import Image

from urbancross_mm.datasets.transforms.formatting import PackRetrievalInputs
from urbancross_mm.datasets.transforms.geometry import ResizeImage, resize_image
from urbancross_mm.datasets.transforms.loading import LoadImage
from urbancross_mm.utils import jpeg
from urbancross_mm.utils.image_files import list_image_files

SIZE = 224
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
EXACT = 'ours'
Loader = Callable[[str], torch.Tensor]


def main() -> None:
    """Measure each set of files and print one table."""
    args = parse_args()
    torch.set_num_threads(1)
    rows = []
    for name, paths in image_sets(args):
        candidates = loaders()
        exact = np.stack([pixels_of(candidates[EXACT](path), False) for path in paths])
        timings = timing.compare(
            {label: partial(read_all, load, paths) for label, load in candidates.items()},
            repeats=args.repeats,
        )
        for row in timings:
            load, bgr = candidates[row.name], row.name == 'mmpretrain'
            pixels = np.stack([pixels_of(load(path), bgr) for path in paths])
            error = np.abs(pixels - exact)
            rows.append(
                [
                    name,
                    row.name,
                    f'{len(paths) / row.cpu_seconds:.0f}',
                    f'{1 / row.ratio:.2f}',
                    f'{error.max()}, {error.mean():.2f}',
                ]
            )
    print(timing.settings(Pillow=Image.__version__, simplejpeg='yes' if jpeg._decoder() else 'no'))
    header = ['images', 'loader', 'samples/s', f'speed, {EXACT} = 1', 'max, mean difference']
    print(timing.markdown(header, rows))


def loaders() -> dict[str, Loader]:
    """Functions from a path to what a model is given."""
    import open_clip
    from mmpretrain.datasets.transforms import LoadImageFromFile, PackInputs
    from mmpretrain.datasets.transforms import Resize as MMResize

    resize, pack = ResizeImage(SIZE), PackRetrievalInputs()

    def ours(path: str, draft: int | None = None) -> torch.Tensor:
        return pack(resize(LoadImage(draft)(dict(img_path=path))))['inputs']['image']

    def pillow(path: str) -> torch.Tensor:
        with mock.patch.object(jpeg, '_decoder', lambda: None):
            return ours(path)

    def ycbcr_first(path: str) -> torch.Tensor:
        with Image.open(path) as image:
            image.draft('YCbCr', image.size)
            small = resize_image(np.array(image.convert('YCbCr')), (SIZE, SIZE), 'bicubic')
        colors = np.array(Image.frombytes('YCbCr', (SIZE, SIZE), small.tobytes()).convert('RGB'))
        return pack(dict(img=colors))['inputs']['image']

    transform = open_clip.image_transform(SIZE, is_train=False, resize_mode='squash')

    def openclip(path: str) -> torch.Tensor:
        with Image.open(path) as image:
            return transform(image)

    load = LoadImageFromFile()
    mm_resize = MMResize((SIZE, SIZE), interpolation='bicubic')

    def mmpretrain(path: str) -> torch.Tensor:
        return PackInputs.format_input(mm_resize(load(dict(img_path=path)))['img'])

    return {
        EXACT: ours,
        'ours, Pillow alone': pillow,
        f'ours, draft={2 * SIZE}': partial(ours, draft=2 * SIZE),
        f'ours, draft={SIZE}': partial(ours, draft=SIZE),
        'resized before the colors': ycbcr_first,
        'open_clip': openclip,
        'mmpretrain': mmpretrain,
    }


def pixels_of(loaded: torch.Tensor, bgr: bool) -> np.ndarray:
    """What a loader gave, as gray levels of red, green and blue."""
    if loaded.dtype.is_floating_point:
        mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
        loaded = ((loaded * std + mean) * 255).round()
    return loaded.flip(0 if bgr else ()).numpy().astype(int)


def read_all(load: Loader, paths: Sequence[str]) -> None:
    """One round."""
    for path in paths:
        load(path)


def image_sets(args: argparse.Namespace) -> itertools.chain:
    """Names of the sets, and their files."""
    if args.images:
        paths = list_image_files(args.images).paths
        step = max(1, len(paths) // args.count)
        return itertools.chain([(args.images.name, paths[::step][: args.count])])
    return itertools.chain.from_iterable(generated(size, args.count) for size in args.sizes)


def generated(side: int, count: int) -> list[tuple[str, list[str]]]:
    """JPEG files with detail at every scale, as aerial images have it."""
    folder = Path(tempfile.mkdtemp())
    rng = np.random.default_rng(side)
    paths = []
    for number in range(max(1, min(count, count * 512 * 512 // side**2))):
        image = np.zeros((side, side, 3), np.float32)
        for scale in (2, 4, 8, 16, 32, 64, 128):
            coarse = rng.normal(0, scale**0.5, (side // scale + 1, side // scale + 1, 3))
            coarse = (
                coarse.astype(np.float32) + rng.normal(0, scale**0.5, coarse.shape[:2])[..., None]
            )
            image += np.kron(coarse, np.ones((scale, scale, 1), np.float32))[:side, :side]
        path = folder / f'{number}.jpg'
        pixels = np.clip(110 + 3 * image, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(path, quality=90)
        paths.append(str(path))
    return [(f'{side} px', paths)]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--sizes', type=int, nargs='+', default=[256, 512, 1024, 2048])
    parser.add_argument('--images', type=Path, help='a folder of images instead')
    parser.add_argument('--count', type=int, default=32, help='files of a set (%(default)s)')
    parser.add_argument('--repeats', type=int, default=5, help='rounds (%(default)s)')
    return parser.parse_args()


if __name__ == '__main__':
    main()
