# Mutual nearest neighbors with CSLS as pairs of the target, the confident ones first, beside the
# retriever's own loss on the source.
_base_ = '../adaptation.py'
model = dict(adaptation=dict(
    losses=[dict(type='PseudoPairLoss', neighbors=10)]))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='SourceCurriculumHook', num_stages=5),
]
