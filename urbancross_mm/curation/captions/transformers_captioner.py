"""Captions by any image-text-to-text model of transformers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from urbancross_mm.curation.captions.captioners import BaseCaptioner
from urbancross_mm.curation.captions.phrases import check_template, geo_tags, words
from urbancross_mm.curation.core.records import ImageRecord, Outcome, digest
from urbancross_mm.registry import CURATION
from urbancross_mm.utils.hashing import WEIGHT_SUFFIXES, folder_digest
from urbancross_mm.utils.ids import stable_id

DTYPES = ('auto', 'float16', 'bfloat16', 'float32')
PROMPT = (
    'Give a comprehensive and detailed description of this satellite image and of its '
    'geographical tags: {geo_tags}.'
)
PROMPT_WITHOUT_TAGS = 'Give a comprehensive and detailed description of this satellite image.'
GENERATION = dict(num_beams=5, max_new_tokens=200)


@CURATION.register_module()
class TransformersCaptioner(BaseCaptioner):
    """Captions with InstructBLIP, BLIP-2, LLaVA or any other ``AutoModelForImageTextToText``.

    Args:
        path (str): Local folder with config, processor and weights, or a hub id.
        prompt (str): Prompt; it may contain ``{geo_tags}`` and ``{label}``. Defaults to a request
            for a detailed description of the image and its tags.
        prompt_without_tags (str): Prompt for images without tags; it may contain ``{label}``.
            Defaults to the same request without tags.
        chat (bool): Use the chat template of the processor, as LLaVA-like models need it. Defaults
            to False.
        generation (Mapping, optional): Arguments of ``generate``. ``num_return_sequences`` gives
            several captions per image. Captions are sampled only with ``do_sample``. Defaults to
            None: 5 beams, at most 200 new tokens.
        dtype (str): ``'auto'`` (as stored), ``'float16'``, ``'bfloat16'`` or ``'float32'``. A CPU
            always uses float32. Defaults to 'auto'.
        revision (str, optional): Branch, tag or commit on the hub. Defaults to None, ``main``.
        allow_download (bool): Download the model if it is not on disk. Defaults to False.
        seed (int): Random seed of sampling, combined with the names of a batch. Defaults to 0.

    Raises:
        ValueError: If an option is unknown.

    Reference:
        InstructBLIP (https://arxiv.org/abs/2305.06500); UrbanCross (https://arxiv.org/abs/2404.14241)
        describes images by it.
    """

    needs_pixels = True
    batched = True
    libraries = ('numpy', 'pillow', 'torch', 'transformers')

    def __init__(
        self,
        path: str,
        prompt: str = PROMPT,
        prompt_without_tags: str = PROMPT_WITHOUT_TAGS,
        chat: bool = False,
        generation: Mapping[str, Any] | None = None,
        dtype: str = 'auto',
        revision: str | None = None,
        allow_download: bool = False,
        seed: int = 0,
    ) -> None:
        if dtype not in DTYPES:
            raise ValueError(f'dtype must be one of {DTYPES}, got {dtype!r}')
        names = check_template(prompt, ('geo_tags', 'label'), 'prompt')
        names |= check_template(prompt_without_tags, ('label',), 'prompt_without_tags')
        self.path, self.revision, self.allow_download = str(path), revision, allow_download
        self.prompt, self.prompt_without_tags, self.chat = prompt, prompt_without_tags, chat
        self.generation = {'do_sample': False, **(GENERATION if generation is None else generation)}
        self.dtype, self.seed = dtype, seed
        # Tags always matter, because they choose the prompt.
        self.reads = ('focus', 'around') + (('label',) if 'label' in names else ())

    @property
    def batch_matters(self) -> bool:
        """bool: With sampling, a caption depends on the other images of its batch."""
        return bool(self.generation['do_sample'])

    def check(self) -> None:
        """Check the config of the model, without reading its weights."""
        import transformers

        known = transformers.GenerationConfig()
        unknown = [name for name in self.generation if not hasattr(known, name)]
        if unknown:
            raise ValueError(f'generation holds {unknown}, which transformers does not know')
        names = os.listdir(self.path) if os.path.isdir(self.path) else None
        # Without it, transformers would guess the type of the model from the name of the folder.
        if names is not None and 'config.json' not in names:
            raise FileNotFoundError(f'the folder {self.path!r} holds no config.json')
        config = self._from_pretrained(transformers.AutoConfig)
        if type(config) not in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
            raise ValueError(
                f'{self.path!r} holds a {type(config).__name__}, which is not an '
                'image-text-to-text model'
            )
        if names is not None and not any(name.endswith(WEIGHT_SUFFIXES) for name in names):
            raise FileNotFoundError(
                f'the folder {self.path!r} holds a config, but no weights '
                f'({", ".join(WEIGHT_SUFFIXES)})'
            )

    def settings(self) -> dict[str, Any]:
        """Hashes of the weights and the prompt, and the decoding options."""
        weights = (
            folder_digest(self.path)
            if os.path.isdir(self.path)
            else f'{self.path}@{self.revision or "main"}'
        )
        prompt = digest(self.prompt, self.prompt_without_tags, self.chat)
        sampling = dict(seed=self.seed) if self.batch_matters else {}
        return dict(
            captioner=type(self).__name__,
            weights=weights,
            prompt=prompt,
            dtype=self.dtype,
            decoding=dict(sorted(self.generation.items())),
            **sampling,
        )

    def begin(self, device: str) -> None:
        """Load processor and model.

        Args:
            device (str): Device of the model.

        Raises:
            FileNotFoundError: If the model is not on disk and cannot be downloaded.
            ValueError: If ``chat`` is set and the processor has no chat template.
        """
        import transformers

        self.processor = self._from_pretrained(transformers.AutoProcessor)
        if self.chat and not getattr(self.processor, 'chat_template', None):
            raise ValueError(f'chat=True, and the processor at {self.path!r} has no chat template')
        dtype = 'float32' if torch.device(device).type == 'cpu' else self.dtype
        model = self._from_pretrained(transformers.AutoModelForImageTextToText, dtype=dtype)
        self.model = model.to(device).eval()
        self.tokenizer = getattr(self.processor, 'tokenizer', self.processor)
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        # A decoder continues the end of the text, so padding must come before the text. An encoder
        # counts positions from the image, so padding must come after it.
        self.tokenizer.padding_side = 'right' if self._has_encoder() else 'left'

    def caption(self, images: Sequence[ImageRecord], pixels: Sequence[np.ndarray]) -> list[Outcome]:
        """Describe a batch with one call of the model."""
        inputs = self.processor(
            images=[Image.fromarray(array) for array in pixels],
            text=[self.prompt_of(image) for image in images],
            padding=True,
            return_tensors='pt',
        ).to(self.model.device, self.model.dtype)
        devices = [self.model.device] if self.model.device.type == 'cuda' else []
        with torch.no_grad(), torch.random.fork_rng(devices):
            torch.manual_seed(self._seed_of(images))
            ids = self.model.generate(**inputs, **self.generation)
        texts = self.tokenizer.batch_decode(
            self._new_tokens(ids, inputs['input_ids']), skip_special_tokens=True
        )
        each = len(texts) // len(images)
        return [
            Outcome(dict(captions=[text.strip() for text in texts[start : start + each]]))
            for start in range(0, len(texts), each)
        ]

    def prompt_of(self, image: ImageRecord) -> str:
        """The prompt for an image, with the chat template if there is one."""
        known = image.fields
        tags = geo_tags(known.get('focus') or (), known.get('around') or ())
        template = self.prompt if tags else self.prompt_without_tags
        text = template.format(geo_tags=tags, label=words(known.get('label') or ''))
        if not self.chat:
            return text
        content = [dict(type='image'), dict(type='text', text=text)]
        return self.processor.apply_chat_template(
            [dict(role='user', content=content)], add_generation_prompt=True, tokenize=False
        )

    def _new_tokens(self, ids: Tensor, prompts: Tensor) -> Tensor:
        """Remove the prompt, which decoders repeat and encoder-decoders do not."""
        width = prompts.shape[1]
        if self._has_encoder() or ids.shape[1] < width:
            return ids
        repeated = prompts.repeat_interleave(len(ids) // len(prompts), dim=0)
        return ids[:, width:] if ids[:, :width].equal(repeated) else ids

    def _has_encoder(self) -> bool:
        config = self.model.config
        text = config.get_text_config() if hasattr(config, 'get_text_config') else config
        return bool(getattr(text, 'is_encoder_decoder', False))

    def _seed_of(self, images: Sequence[ImageRecord]) -> int:
        names = '\0'.join(image.name for image in images)
        return stable_id(f'{self.seed}\0{names}')

    def _from_pretrained(self, auto: Any, **options: Any) -> Any:
        try:
            return auto.from_pretrained(
                self.path,
                revision=self.revision or 'main',
                local_files_only=not self.allow_download,
                trust_remote_code=False,
                **options,
            )
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            reason = ' '.join(str(error).split())[:200] or type(error).__name__
            if os.path.isdir(self.path):
                raise ValueError(
                    f'the model folder {self.path!r} cannot be loaded: {reason}'
                ) from error
            if not self.allow_download:
                raise FileNotFoundError(
                    f'no model folder {self.path!r} with config, processor and weights: '
                    f'give one, or a hub id with allow_download=True ({reason:.80})'
                ) from error
            raise FileNotFoundError(
                f'no folder {self.path!r}, and the Hugging Face hub cannot provide it ({reason}): '
                'give a local folder with config, processor and weights, or a hub id with '
                'allow_download=True and a connection'
            ) from error
