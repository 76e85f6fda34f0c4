"""Run frozen encoders once over everything that a config reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import nn

from urbancross_mm.functional.sentences import mean_over_sentences
from urbancross_mm.inference.checkpoints import hash_weights
from urbancross_mm.inference.config import LOADERS
from urbancross_mm.inference.embedder import Embedder, Tower
from urbancross_mm.registry import DATASETS
from urbancross_mm.utils.config import nested_dicts
from urbancross_mm.utils.hashing import same_image
from urbancross_mm.version import __version__


def extract_features(
    cfg: Config,
    out: str | Path,
    weights: str | Path | None = None,
    device: str | None = None,
    batch_size: int = 32,
    num_workers: int = 0,
) -> dict[str, int]:
    """Write the features of a config's images and captions, before the projection.

    Every image of the training, validation and test annotations goes through the test pipeline
    once, and every distinct caption through its tokenizer. ``LoadFeatures`` and
    ``FeatureTokenizer`` read the file.

    Args:
        cfg (Config): A config whose model has ``image_encoder`` and ``text_encoder``.
        out (str | Path): The ``.npz`` file.
        weights (str | Path, optional): A checkpoint of the config, or a work directory. Defaults
            to None: the pretrained weights that the config names.
        device (str, optional): Defaults to the GPU if there is one.
        batch_size (int): Images, or captions, per forward pass. Defaults to 32.
        num_workers (int): Processes that read images. Defaults to 0.

    Returns:
        dict[str, int]: ``images`` and ``texts``, how many, ``image_width`` and ``text_width``.

    Raises:
        FileNotFoundError: If annotations, images or weights are missing.
        ValueError: If an image cannot be read, or the model has other parts.
    """
    # Imported here: the datasets come with the config's custom_imports.
    from urbancross_mm.datasets.caption_lengths import remark_on_cut
    from urbancross_mm.datasets.feature_file import write_features

    embedder = Embedder.from_config(
        cfg, weights, device=device, batch_size=batch_size, num_workers=num_workers
    )
    image_encoder, text_encoder = encoders_of(embedder.model)
    images, captions = config_items(cfg)
    if remark := remark_on_cut(captions, embedder.tokenizer, 'captions'):
        print(remark)
    encoded = embedder.encode_files(list(images.values()), before_projection(image_encoder))
    image_feats = encoded.embeds.numpy()
    text_feats = embedder.encode_texts(
        captions, before_projection(text_encoder), progress=True
    ).numpy()
    metadata = feature_metadata(cfg, embedder)
    write_features(out, list(images), image_feats, captions, text_feats, metadata, encoded.stamps)
    return dict(
        images=len(images),
        texts=len(captions),
        image_width=image_feats.shape[1],
        text_width=text_feats.shape[1],
    )


def config_items(cfg: Config) -> tuple[dict[str, str], list[str]]:
    """Collect the images and captions of all annotation files that a config names.

    Args:
        cfg (Config): A config.

    Returns:
        tuple[dict[str, str], list[str]]: Paths by ``img_id``, and distinct captions.

    Raises:
        FileNotFoundError: If annotations or images are missing.
        ValueError: If the config names no annotation file, or two images share an id.
    """
    images: dict[str, str] = {}
    captions: dict[str, None] = {}
    for settings in _annotated(cfg):
        dataset = DATASETS.build(dict(settings, pipeline=[], lazy_init=False))
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            path = images.setdefault(info['img_id'], info['img_path'])
            if not same_image(path, info['img_path']):
                raise ValueError(
                    f'two images have the id {info["img_id"]!r}: {path} and {info["img_path"]}'
                )
            captions.update(dict.fromkeys(info['captions']))
        # The texts of an unlabeled target belong to no image.
        captions.update(dict.fromkeys(getattr(dataset, 'pool', ())))
    if not images:
        raise ValueError(f'the config {cfg.filename} names no annotation file')
    return images, list(captions)


def _annotated(cfg: Config) -> Iterator[dict[str, Any]]:
    """Settings of the datasets that read an annotation file, each file once."""
    seen = set()
    for node in nested_dicts([cfg.get(loader) for loader in LOADERS]):
        names = ('data_root', 'ann_file', 'text_file')
        # A dataset of anchors has a part of the images.
        key = (*(str(node.get(name, '')) for name in names), node.get('type') == 'AnchorDataset')
        if 'ann_file' in node and key not in seen:
            seen.add(key)
            # Whole files: neither a part of one, nor a fold.
            yield {name: value for name, value in node.items() if name != 'indices'}


def encoders_of(model: nn.Module) -> tuple[nn.Module, nn.Module]:
    """The image encoder and the text encoder of a model.

    Args:
        model (nn.Module): A retriever.

    Returns:
        tuple[nn.Module, nn.Module]: Both.

    Raises:
        ValueError: If it lacks one.
    """
    image_encoder = getattr(model, 'image_encoder', None)
    text_encoder = getattr(model, 'text_encoder', None)
    if image_encoder is None or text_encoder is None:
        raise ValueError(
            'features come from a model with image_encoder and text_encoder, and '
            f'{type(model).__name__} lacks one'
        )
    return image_encoder, text_encoder


def before_projection(encoder: nn.Module) -> Tower:
    """What of an encoder is run once: all but the projection, which is trained.

    Args:
        encoder (nn.Module): Of images or texts.

    Returns:
        Tower: Encodes a batch.
    """
    pooled = getattr(encoder, 'pooled', encoder)
    return lambda rows: mean_over_sentences(pooled, rows)


def feature_metadata(cfg: Config, embedder: Embedder) -> dict[str, Any]:
    """Where features come from, as it is written beside them.

    Args:
        cfg (Config): Of the run.
        embedder (Embedder): Of the same config.

    Returns:
        dict[str, Any]: ``config``, ``weights``, ``checkpoint``, ``version`` and ``pipeline``.
    """
    return dict(
        config=Path(cfg.filename or '').name,
        weights=weights_of(*encoders_of(embedder.model)),
        checkpoint=Path(embedder.checkpoint).name if embedder.checkpoint else None,
        version=__version__,
        pipeline=embedder.pipeline_cfg,
    )


def weights_of(*encoders: nn.Module) -> str:
    """Hash the weights that features come from.

    Args:
        *encoders (nn.Module): Their projections do not count.

    Returns:
        str: 32 hexadecimal digits.
    """
    return hash_weights(
        *(
            {k: v for k, v in encoder.state_dict().items() if not k.startswith('projection.')}
            for encoder in encoders
        )
    )
