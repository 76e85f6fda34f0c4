"""Files of the field: the layouts in which CLIP weights are published, at tiny sizes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file

# Heads are 64 wide, as in all published models: a file does not say so itself.
CFG = dict(
    embed_dim=32,
    vision_cfg=dict(image_size=32, patch_size=16, width=64, layers=2, head_width=64),
    text_cfg=dict(context_length=8, vocab_size=64, width=64, heads=1, layers=2),
)
QUICK = dict(CFG, quick_gelu=True)
IMAGE, TEXT = torch.randn(3, 3, 32, 32), torch.randint(1, 62, (4, 8))
# The end of a text has the largest id; another token that could be it stands behind.
TEXT[:, 5], TEXT[:, 6] = 63, 62
Weights = dict[str, torch.Tensor]


def randomised(model: torch.nn.Module) -> Any:
    """Biases and scales are equal when fresh, and would hide a mix-up."""
    for weight in model.parameters():
        if weight.dim() < 2:
            torch.nn.init.uniform_(weight, 0.5, 1.5)
    return model.eval()


def clip(cfg: dict[str, Any] = CFG) -> Any:
    """A model of open_clip with weights of its own."""
    return randomised(open_clip.CLIP(**cfg))


def open_clip_file(model: Any, path: Path) -> None:
    torch.save(model.state_dict(), path)


def trained_open_clip(model: Any, path: Path) -> None:
    """What open_clip's training writes; SkyCLIP is published so."""
    wrapped = {f'module.{name}': value for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters()).state_dict()
    torch.save(dict(epoch=20, name='run', state_dict=wrapped, optimizer=optimizer), path)


def old_ddp(model: Any, path: Path) -> None:
    wrapped = {f'module.{name}': value for name, value in model.state_dict().items()}
    torch.save(wrapped, path, _use_new_zipfile_serialization=False)


def tensors_alone(model: Any, path: Path) -> None:
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)


def openai_archive(model: Any, path: Path) -> None:
    """A traced program with three numbers among its weights."""
    for name, number in (('input_resolution', 32), ('context_length', 8), ('vocab_size', 64)):
        vars(model).pop(name, None)
        model.register_buffer(name, torch.tensor(number))
    inputs = dict(forward=(IMAGE[:2], TEXT[:2]), encode_image=(IMAGE,), encode_text=(TEXT,))
    torch.jit.trace_module(model, inputs, check_trace=False).save(str(path))


def openai_weights(model: Any, path: Path) -> None:
    """State dict of such an archive."""
    numbers = dict.fromkeys(('input_resolution', 'context_length', 'vocab_size'), torch.tensor(8))
    torch.save({**model.state_dict(), **numbers}, path)


def published(model: Any, path: Path, segments: bool, discriminator: bool = False) -> None:
    """UrbanCross as its authors save it: the second CLIP has no text transformer."""
    weights = {f'clip_model.{name}': value for name, value in model.state_dict().items()}
    if segments:
        second = clip()
        del second.transformer
        weights |= {f'clip_img_seg.{name}': value for name, value in second.state_dict().items()}
    if discriminator:
        weights |= {'discriminator.0.weight': torch.ones(4, 4)}
    args = argparse.Namespace(country='Finland', lr=1e-5, distributed=False)
    torch.save(dict(epoch=3, model=weights, best_rsum=torch.tensor(0.7), args=args), path)


# Name of the file and how it is written; OpenAI's come with QuickGELU.
FILES: dict[str, tuple[str, Callable[[Any, Path], None]]] = {
    'open_clip': ('open_clip_pytorch_model.bin', open_clip_file),
    'remoteclip': ('RemoteCLIP-ViT-B-32.pt', open_clip_file),
    'georsclip': ('RS5M_ViT-B-32.pt', open_clip_file),
    'skyclip': ('epoch_20.pt', trained_open_clip),
    'ddp': ('old.pth', old_ddp),
    'safetensors': ('model.safetensors', tensors_alone),
    'published': ('urbancross.pth', lambda m, p: published(m, p, segments=False)),
    'published_segments': ('urbancross.pth', lambda m, p: published(m, p, segments=True)),
    'fine_tuned': ('urbancross.pth', lambda m, p: published(m, p, True, discriminator=True)),
}
OPENAI: dict[str, tuple[str, Callable[[Any, Path], None]]] = {
    'archive': ('ViT-B-32.pt', openai_archive),
    'state_dict': ('openai.pt', openai_weights),
}
