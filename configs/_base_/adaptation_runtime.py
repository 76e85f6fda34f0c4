# Two best checkpoints, to compare: by the target's pairs, and without any label. A tool that is
# given the work directory takes the last one (docs/adapt.md).
_base_ = ['./default_runtime.py']
default_hooks = dict(checkpoint=dict(save_best=['retrieval/mR', 'label_free/agreement']))
custom_hooks = [*_base_.custom_hooks, dict(type='MinStepsHook', min_steps=240)]
