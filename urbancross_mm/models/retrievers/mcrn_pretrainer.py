"""The first stage of MCRN: every modality for itself, against a discriminator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import all_reduce, get_rank
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor, nn

from urbancross_mm.functional import similarity
from urbancross_mm.functional.views import numbered_generator, view_of
from urbancross_mm.models.build import build_part
from urbancross_mm.models.retrievers.base import split_items
from urbancross_mm.models.retrievers.mcrn import MCRN
from urbancross_mm.models.retrievers.mcrn_losses import pretraining_losses
from urbancross_mm.registry import MODELS
from urbancross_mm.structures import RetrievalDataSample
from urbancross_mm.utils.dist import average_gradients

VIEWS = 2
LEAST = 2  # items, which BatchNorm and the distance of the views need
WRAPPERS = ('encoders', 'discriminator')


@MODELS.register_module()
class MCRNPretrainer(MCRN):
    r"""Learns from images, texts and recordings that need not belong together.

    An iteration draws one modality of the batch and two views of it (see
    :mod:`urbancross_mm.functional.views`), and encodes them with the modality's own encoder, f, and
    the shared encoding, g. The discriminator learns in every iteration to tell the modality from g;
    in every third, the encoders learn

    .. math::
        L = MMD(f_1, f_2) + MSE(g_1, g_2) + \textstyle\sum_i CE(D(g_i), \tilde y)
        + 0.01 \sum_i (N(f_i) + N(g_i))

    with a wrong modality :math:`\tilde y` and :math:`N(z) = |\operatorname{mean} \|z\| - 1|`. There
    are no negatives in it: the confusion and the lengths stand against collapse. ``contrastive``
    has negatives instead: InfoNCE between the views and the confusion.

    The draws depend on ``seed`` and the iteration alone, so a resumed run goes on as it would have.
    All ranks take the same modality, one of which each has two items. Both optimizers are in one
    ``OptimWrapperDict``, of :class:`AdversarialOptimWrapperConstructor`; several processes need
    ``model_wrapper_cfg=dict(type='TrainStepDataParallel')``, and views are compared within each.

    Args:
        image_encoder (dict): Config of the image encoder.
        text_encoder (dict): Config of the text encoder.
        discriminator (dict, optional): Arguments of :class:`ModalDiscriminator`.
            Defaults to None, as published.
        losses (dict, optional): Arguments by the names ``distance`` (:class:`MKMMDLoss`),
            ``consistency``, ``length`` and ``confusion``, or ``contrastive``
            (:class:`InfoNCELoss`) and ``confusion``; None leaves one out. Defaults to None.
        contrastive (bool): With negatives. Defaults to False.
        released (bool): The distance as released, 0.01 times a sum that grows with the square of
            the batch, and one BatchNorm for all modalities. Defaults to False.
        generator_interval (int): The encoders learn in one of so many iterations. Defaults to 3.
        seed (int): Of the draws. Defaults to 0.
        **kwargs: ``encoders``, ``shared``, ``pyramid``, ``data_preprocessor`` and ``init_cfg`` of
            :class:`MCRN`.

    Raises:
        ValueError: If the interval is not positive, or a loss is unknown.

    Reference:
        MCRN, adversarial pre-training.
    """

    iterations: Tensor

    not_cacheable = 'its two optimizers work on features inside the encoders'

    def __init__(
        self,
        image_encoder: dict[str, Any],
        text_encoder: dict[str, Any],
        discriminator: Mapping[str, Any] | None = None,
        losses: Mapping[str, Mapping[str, Any] | None] | None = None,
        contrastive: bool = False,
        released: bool = False,
        generator_interval: int = 3,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_encoder, text_encoder, released=released, **kwargs)
        if generator_interval < 1:
            raise ValueError(f'generator_interval must be 1 at least, got {generator_interval}')
        own = dict(embed_dim=self.embed_dim, modalities=self.modalities)
        self.discriminator = build_part(
            {'type': 'ModalDiscriminator', **own, **(discriminator or {})}, 'discriminator'
        )
        self.losses = nn.ModuleDict(pretraining_losses(losses or {}, contrastive, released))
        self.generator_interval = generator_interval
        self.seed = seed
        # Of the checkpoint: a resumed run draws what the whole one would have drawn.
        self.register_buffer('iterations', torch.zeros((), dtype=torch.long))

    def loss(
        self, inputs: dict[str, Tensor], data_samples: list[RetrievalDataSample]
    ) -> dict[str, Tensor]:
        """Not here: two optimizers need :meth:`train_step`.

        Args:
            inputs (dict): Of the batch.
            data_samples (list[RetrievalDataSample]): Of the batch.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            'MCRNPretrainer has two losses and trains by train_step; on several processes give '
            "model_wrapper_cfg=dict(type='TrainStepDataParallel')"
        )

    def predict(
        self,
        inputs: dict[str, Tensor],
        data_samples: list[RetrievalDataSample] | None = None,
    ) -> list[RetrievalDataSample]:
        """Write embeddings into the data samples, and whether their modality was told.

        Args:
            inputs (dict): Of one modality or more; see :meth:`BaseRetriever.predict`.
            data_samples (list, optional): Samples to fill. Defaults to None: new ones.

        Returns:
            list[RetrievalDataSample]: The samples, with ``image_embeds`` (D,) and ``image_told``
            (), ``text_embeds`` (C, D) and ``text_told`` (C,), and so on.
        """
        feats = {name: self.feats(name, inputs[name]) for name in self.modalities if name in inputs}
        embeds = {f'{name}_embeds': similarity.normalize(rows) for name, rows in feats.items()}
        samples = super().predict(embeds, data_samples)
        for name, rows in feats.items():
            told = self.discriminator(rows).argmax(dim=1) == self.discriminator.label(name)
            parts = told if name == 'image' else split_items(told, samples, name)
            for sample, part in zip(samples, parts):
                sample.set_data({f'{name}_told': part})
        return samples

    def train_step(
        self, data: dict[str, Any], optim_wrapper: OptimWrapper | OptimWrapperDict
    ) -> dict[str, Tensor]:
        """One iteration.

        Args:
            data (dict): ``inputs`` with one modality or more; no captions are needed.
            optim_wrapper (OptimWrapperDict): ``encoders`` and ``discriminator``.

        Returns:
            dict[str, Tensor]: ``loss_discriminator``, the losses of the encoders in their turn, and
            ``discriminator_acc``, the share of vectors whose modality was told.

        Raises:
            ValueError: If an optimizer is missing, or no modality has two items on every rank.
        """
        wrappers = _wrappers(optim_wrapper)
        inputs = self.data_preprocessor(data, training=True)['inputs']
        iteration = int(self.iterations)
        turn = (iteration + 1) % self.generator_interval == 0
        draws = numbered_generator(self.seed, iteration)
        modality = self._drawn(inputs, draws)
        views = self._views(modality, inputs[modality], iteration)
        with wrappers['encoders'].optim_context(self), torch.set_grad_enabled(turn):
            own = [similarity.as_float(self.own_feats(modality, view)) for view in views]
            shared = [self._shared(modality, feats) for feats in own]
        with wrappers['discriminator'].optim_context(self):
            losses = self._discriminator_losses(modality, shared)
        _update(wrappers['discriminator'], losses['loss_discriminator'])
        if turn:
            with wrappers['encoders'].optim_context(self):
                terms = self._encoder_losses(modality, inputs[modality], own, shared, draws)
            _update(wrappers['encoders'], self.parse_losses(terms)[0])
            losses.update(terms)
        self.iterations += 1
        return self.parse_losses(losses)[1]

    def _drawn(self, inputs: dict[str, Tensor], draws: torch.Generator) -> str:
        counts = torch.tensor([len(inputs.get(name, ())) for name in self.modalities])
        all_reduce(counts, op='min')
        present = [name for name, count in zip(self.modalities, counts) if count >= LEAST]
        if not present:
            sizes = {name: len(rows) for name, rows in inputs.items()}
            raise ValueError(
                f'no modality of {self.modalities} has {LEAST} items in the batch of every rank, '
                f'here are {sizes}: raise batch_size, or leave out the last batch by drop_last'
            )
        return present[int(torch.randint(len(present), (1,), generator=draws))]

    def _views(self, modality: str, inputs: Tensor, iteration: int) -> list[Tensor]:
        generator = numbered_generator(self.seed, iteration, 1 + get_rank())
        pad_id = getattr(self.text_encoder, 'pad_id', 0)
        return [view_of(modality, inputs, generator, pad_id) for _ in range(VIEWS)]

    def _discriminator_losses(self, modality: str, shared: list[Tensor]) -> dict[str, Tensor]:
        """Its loss, whose gradient ends at the vectors, and how often it is right."""
        with torch.no_grad():
            told = self.discriminator(torch.cat(shared)).argmax(dim=1)
        return dict(
            loss_discriminator=sum(self.discriminator.loss(feats, modality) for feats in shared),
            discriminator_acc=(told == self.discriminator.label(modality)).float().mean(),
        )

    def _encoder_losses(
        self,
        modality: str,
        inputs: Tensor,
        own: list[Tensor],
        shared: list[Tensor],
        draws: torch.Generator,
    ) -> dict[str, Tensor]:
        # The discriminator as a constant: its weights get no gradient.
        fixed = {name: weight.detach() for name, weight in self.discriminator.named_parameters()}
        logits = torch.func.functional_call(self.discriminator, fixed, (torch.cat(shared),))
        terms = dict(
            distance=lambda loss: loss(*own),
            consistency=lambda loss: loss(*shared),
            length=lambda loss: sum(loss(feats) for feats in (*own, *shared)),
            confusion=lambda loss: VIEWS * loss(logits, self.discriminator.label(modality), draws),
            contrastive=lambda loss: loss(
                *(similarity.normalize(feats) for feats in shared), _equal_rows(inputs)
            ),
        )
        return {f'loss_{name}': terms[name](loss) for name, loss in self.losses.items()}


def _wrappers(optim_wrapper: OptimWrapper | OptimWrapperDict) -> OptimWrapperDict:
    keys = sorted(optim_wrapper.keys()) if isinstance(optim_wrapper, OptimWrapperDict) else []
    if keys != sorted(WRAPPERS):
        raise ValueError(
            f'MCRNPretrainer needs optimizers of {WRAPPERS}, got {keys or "one for all"}: give '
            "optim_wrapper=dict(constructor='AdversarialOptimWrapperConstructor', "
            'encoders=dict(...), discriminator=dict(...))'
        )
    return optim_wrapper


def _update(wrapper: OptimWrapper, loss: Tensor) -> None:
    """``update_params``, with the mean of the gradients of all ranks."""
    wrapper.backward(wrapper.scale_loss(loss))
    if wrapper.should_update():
        average_gradients(weight for group in wrapper.param_groups for weight in group['params'])
        wrapper.step()
        wrapper.zero_grad()


def _equal_rows(inputs: Tensor) -> Tensor | None:
    """Which rows are the same, and so no negatives: equal texts are common, equal photos rare."""
    return (inputs[:, None] == inputs[None]).all(dim=2) if inputs.dim() == 2 else None
