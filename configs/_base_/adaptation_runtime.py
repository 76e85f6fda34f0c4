# Two best checkpoints: by the target's pairs, to see what could be had, and without any label. A
# tool that is given the work directory takes the second.
_base_ = ['./default_runtime.py']
default_hooks = dict(checkpoint=dict(save_best=['retrieval/mR', 'label_free/agreement']))
