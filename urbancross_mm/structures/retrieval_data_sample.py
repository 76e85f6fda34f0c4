"""The record that travels with one image through a retrieval pipeline."""

from __future__ import annotations

from mmengine.structures import BaseDataElement


class RetrievalDataSample(BaseDataElement):
    """One image, its captions and, after ``predict``, its embeddings.

    D is the embedding width, C the number of captions encoded with this image: one in training;
    in evaluation the distinct captions that no earlier image of the dataset carries, so C may
    be 0 while ``caption_text_ids`` still names every caption of the image.

    Meta fields (set by ``PackRetrievalInputs``):
        - ``img_id`` (str): unique over all datasets, ``<dataset>/<relative path without suffix>``.
        - ``img_path`` (str), ``domain`` (str), ``sample_idx`` (int).
        - ``captions`` (list[str]), ``caption_ids`` (list[str]): every caption of the image.
        - ``caption_text_ids`` (list[int]): ``stable_id`` of every caption's text.
        - ``texts`` (list[str]), ``text_ids`` (list[int]): the C captions that are encoded here, and
          their ``stable_id``.
        - ``audio_ids`` (list[int]): ``stable_id`` of the path of the recordings that are encoded
          here. ``caption_audio_ids`` (list[int]): the recording of every caption of the image, -1
          for none; captions may share one. Both are missing where neither the annotations name
          recordings of the image nor the pipeline reads any.
        - ``label`` (str), ``geo_tags`` (list[str]), ``lon``, ``lat`` (degrees): where known.
        - ``ori_shape``, ``img_shape`` (tuple[int, int]): height and width in pixels.
        - ``for_retrieval`` (bool): False for an image that is loaded for its class map alone
          (``ImageTextDataset(captions='none')``) and is not searched; else it is not set.

    Data field with a class map (set by ``PackRetrievalInputs``), mmseg's:
        - ``gt_sem_seg`` (PixelData): its ``data`` is long, ``(1, H, W)``: the class of each pixel,
          255 for none.

    Data fields (set by a retriever's ``predict``):
        - ``image_embeds`` (Tensor): ``(D,)``.
        - ``image_view_embeds`` (Tensor): ``(D,)``, of another view of the image, where the data
          preprocessor draws one.
        - ``text_embeds`` (Tensor): ``(C, D)``, rows in the order of ``text_ids``.
        - ``audio_embeds`` (Tensor): ``(M, D)``, rows in the order of ``audio_ids``.
        - ``image_told``, ``text_told``, ``audio_told`` (Tensor): bool, as many as there are
          embeddings: whether the discriminator of :class:`MCRNPretrainer` told their modality.
        - ``segment_embeds`` (Tensor): ``(D,)``, where segments were encoded.
        - ``score_pairs`` (Callable): of a model whose score of a pair is no product of embeddings:
          ``(N, D), (M, D) -> (N, M)``, images and texts.

    Examples:
        >>> import torch
        >>> sample = RetrievalDataSample(metainfo=dict(img_id='ucm/beach01', text_ids=[7]))
        >>> sample.text_embeds = torch.ones(1, 4)
        >>> sample.img_id, tuple(sample.text_embeds.shape)
        ('ucm/beach01', (1, 4))
    """
