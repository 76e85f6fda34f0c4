# Five human captions an image, six segments: RSICD, RSITMD and UCM.
_base_ = ['./image_text.py']
segment_train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadSegments', num_segments=6),
    dict(type='ResizeImage', scale=278, interpolation='bicubic'),
    dict(type='RandomRotate', degrees=(0, 90)),
    dict(type='RandomCropImage', size=224),
    dict(type='TokenizeText', tokenizer={{_base_.tokenizer}}),
    dict(type='PackRetrievalInputs'),
]
