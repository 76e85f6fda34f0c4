# Optimal transport, with UrbanCross's curriculum deciding which source pairs stand beside it.
_base_ = ['./transport.py']
model = dict(selector=dict(type='SimilarSourceSelector', features='fused', encoders='frozen'))
custom_hooks = [
    dict(type='EpochSeedHook'),
    dict(type='CheckpointGuardHook'),
    dict(type='RetrievalVisualizationHook', num_queries=3),
    dict(type='SourceCurriculumHook', num_stages=5),
]
