# UrbanCross adapted from Finland to Spain: optimal transport between images and captions.
_base_ = './_base_/methods/transport.py'
if _base_.direction != 'urbancross_finland2spain':
    raise ValueError(f'for {_base_.direction} take configs/adapt.py, or unset CONFIG and TARGET')
