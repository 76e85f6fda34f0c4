default_scope = 'urbancross_mm'
custom_imports = dict(imports=['urbancross_mm', 'urbancross_mm.engine'], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=10),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # mmengine removes an old checkpoint before it writes the new one: with two, one whole one
    # is there at any time.
    checkpoint=dict(
        type='CheckpointHook',
        interval=1,
        max_keep_ckpts=2,
        save_best='retrieval/mR',
        rule='greater',
        backend_args=dict(backend='atomic')),
    sampler_seed=dict(type='DistSamplerSeedHook'))
custom_hooks = [
    dict(type='EpochSeedHook'),
    dict(type='CheckpointGuardHook'),
    dict(type='RetrievalVisualizationHook', num_queries=3),
]

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))

# Add dict(type='WandbVisBackend') or dict(type='MLflowVisBackend') here.
visualizer = dict(
    type='RetrievalVisualizer',
    vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
log_processor = dict(window_size=10, by_epoch=True)
log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=0)
