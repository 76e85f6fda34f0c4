# UrbanCross adapted from Finland to Spain: curriculum, triplet and adversarial loss.
_base_ = './_base_/methods/curriculum.py'
if _base_.direction != 'urbancross_finland2spain':
    raise ValueError(f'for {_base_.direction} take configs/adapt.py, or unset CONFIG and TARGET')
