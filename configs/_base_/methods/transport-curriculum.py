# Optimal transport, with UrbanCross's curriculum deciding which source pairs stand beside it.
_base_ = './transport-live.py'
model = dict(adaptation=dict(
    selector=dict(type='SimilarSourceSelector', features='fused', encoders='frozen')))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='SourceCurriculumHook', num_stages=5),
]
