# As mobilenet-v2_minilm.py; only the projections train. On RSICD and UCM (docs/benchmarks.md) an
# adaptation that tunes the image encoder as well forgets as much as it gains.
_base_ = ['./mobilenet-v2_minilm.py']
retriever = dict(image_encoder=dict(frozen=True), text_encoder=dict(frozen=True))
