# AdaBN: the target's statistics in every BatchNorm of the image encoder. Nothing is trained: one
# pass without a learning rate.
_base_ = ['../adaptation_runtime.py']
model = dict(adaptation=dict())
