# Adapt any trained config to any dataset by any method (docs/how-to/adapt.md):
#   python tools/train.py configs/adapt.py --cfg-options CONFIG=urbancross_finland.py TARGET=spain METHOD=transport
_base_ = './_base_/methods/{{$METHOD:transport}}.py'
work_dir = f'work_dirs/{_base_.direction}_{{$METHOD:transport}}'
