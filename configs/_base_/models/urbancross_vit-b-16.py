# UrbanCross: the two towers of CLIP and a segment tower, a frozen copy of the image tower as the
# paper draws it ('trainable' is what the published code does).
_base_ = ['./clip_vit-b-16.py']
model = dict(
    type='UrbanCross',
    data_preprocessor=dict(num_segments=5, segment_mode='white'),
    segment_encoder=dict(mode='frozen'),
    segment_pool=dict(type='MaskedSegmentPool'),
    eval_fusion=1.0)
