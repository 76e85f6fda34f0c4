"""Heads: losses of a retriever, a decode head, a reconstruction and a discriminator."""

from urbancross_mm.models.heads.lite_fpn_head import LiteFPNHead
from urbancross_mm.models.heads.masked_image_head import MaskedImageHead
from urbancross_mm.models.heads.modal_discriminator import ModalDiscriminator
from urbancross_mm.models.heads.retrieval_head import RetrievalHead

__all__ = ['LiteFPNHead', 'MaskedImageHead', 'ModalDiscriminator', 'RetrievalHead']
