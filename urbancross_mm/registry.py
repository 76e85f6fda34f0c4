"""Child registries of mmengine's, under the scope ``urbancross_mm``.

mmengine imports ``{scope}.registry`` by this exact name. ``TOKENIZERS``, ``INDEXES``
and ``CURATION`` have no parent: mmengine knows no such component. Some registries hold no component
of ours: mmengine warns about a scope that lacks one.

A part that belongs to another package (``mmseg.UNet``) is built under that package's scope, so that
the parts it builds by bare names are found there.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import sys
import warnings
from typing import Any

from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import EVALUATOR as MMENGINE_EVALUATORS
from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOG_PROCESSORS as MMENGINE_LOG_PROCESSORS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODEL_WRAPPERS as MMENGINE_MODEL_WRAPPERS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import OPTIMIZERS as MMENGINE_OPTIMIZERS
from mmengine.registry import PARAM_SCHEDULERS as MMENGINE_PARAM_SCHEDULERS
from mmengine.registry import STRATEGIES as MMENGINE_STRATEGIES
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import VISBACKENDS as MMENGINE_VISBACKENDS
from mmengine.registry import VISUALIZERS as MMENGINE_VISUALIZERS
from mmengine.registry import WEIGHT_INITIALIZERS as MMENGINE_WEIGHT_INITIALIZERS
from mmengine.registry import DefaultScope, Registry

SCOPE = 'urbancross_mm'
# Prints that an optional package is missing.
_CHATTY = 'mmpretrain.datasets'


class _ScopedRegistry(Registry):
    """Builds each part under the scope of its own package, however deep it stands in the config.

    What a user writes inside a foreign part by a bare name of ours stays ours.
    """

    def get(self, key: str) -> Any:
        """Find a component, and import its package without the remarks of that package.

        Args:
            key (str): Its name.

        Returns:
            Any: The component, or None.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', message='Fail to import ``MultiScaleDeformable')
            if str(key).startswith('mmpretrain.') and _CHATTY not in sys.modules:
                # Around this import alone: a logger that begins inside would keep that stdout.
                with contextlib.suppress(ImportError), contextlib.redirect_stdout(io.StringIO()):
                    importlib.import_module(_CHATTY)
            return super().get(key)

    def build(self, cfg: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Build a part.

        Args:
            cfg (dict): Config with a ``type``.

        Returns:
            Any: The part.
        """
        self.import_from_location()
        current = DefaultScope.get_current_instance()
        if current is None:  # or foreign parts would not find ours inside them
            with DefaultScope.overwrite_default_scope(SCOPE):
                return self.build(cfg, *args, **kwargs)
        marked = self._with_scopes(cfg, current.scope_name, False)
        return super().build(marked, *args, **kwargs)

    def _with_scopes(self, node: Any, home: str, foreign: bool) -> Any:
        """Copy of a config with ``_scope_`` wherever a part leaves or re-enters our scope."""
        if type(node) in (list, tuple) and any(isinstance(p, (dict, list, tuple)) for p in node):
            return type(node)(self._with_scopes(part, home, foreign) for part in node)
        if not isinstance(node, dict) or node.get('_scope_', SCOPE) != SCOPE:
            return node
        scope = self._scope_of(node.get('type'), home, foreign)
        foreign = foreign if scope is None else scope != home
        marked = copy.copy(node)
        for key, part in node.items():  # update() of a ConfigDict would write into the original
            marked[key] = self._with_scopes(part, home, foreign)
        if scope is not None:
            marked['_scope_'] = scope
        return marked

    def _scope_of(self, kind: Any, home: str, foreign: bool) -> str | None:
        """Scope to switch to for this ``type``, or None to stay."""
        if not isinstance(kind, str):
            kind = f'{getattr(kind, "__module__", "")}.'
        package, dot, _ = kind.partition('.')
        if package == SCOPE or (not dot and kind in self.module_dict):
            return home if foreign else None
        # A dot alone makes no scope: 'attn.qkv' names layers in an option of LoRAModel.
        known = dot and (package in MODULE2PACKAGE or self.root.children.get(package))
        return package if known else None


def _child(name: str, parent: Registry, location: str) -> Registry:
    return _ScopedRegistry(name, parent=parent, scope=SCOPE, locations=[f'{SCOPE}.{location}'])


MODELS = _child('model', MMENGINE_MODELS, 'models')
DATASETS = _child('dataset', MMENGINE_DATASETS, 'datasets')
TRANSFORMS = _child('transform', MMENGINE_TRANSFORMS, 'datasets')
DATA_SAMPLERS = _child('data sampler', MMENGINE_DATA_SAMPLERS, 'datasets')
METRICS = _child('metric', MMENGINE_METRICS, 'evaluation')
HOOKS = _child('hook', MMENGINE_HOOKS, 'engine')
OPTIM_WRAPPERS = _child('optim_wrapper', MMENGINE_OPTIM_WRAPPERS, 'engine')
FUNCTIONS = _child('function', MMENGINE_FUNCTIONS, 'engine')
VISUALIZERS = _child('visualizer', MMENGINE_VISUALIZERS, 'visualization')
LOOPS = _child('loop', MMENGINE_LOOPS, 'engine')
LOG_PROCESSORS = _child('log processor', MMENGINE_LOG_PROCESSORS, 'engine')
OPTIMIZERS = _child('optimizer', MMENGINE_OPTIMIZERS, 'engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    'optimizer wrapper constructor', MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS, 'engine'
)
PARAM_SCHEDULERS = _child('parameter scheduler', MMENGINE_PARAM_SCHEDULERS, 'engine')
STRATEGIES = _child('strategy', MMENGINE_STRATEGIES, 'engine')
MODEL_WRAPPERS = _child('model_wrapper', MMENGINE_MODEL_WRAPPERS, 'models')
WEIGHT_INITIALIZERS = _child('weight initializer', MMENGINE_WEIGHT_INITIALIZERS, 'models')
EVALUATORS = _child('evaluator', MMENGINE_EVALUATORS, 'evaluation')
VISBACKENDS = _child('vis_backend', MMENGINE_VISBACKENDS, 'visualization')
TOKENIZERS = Registry('tokenizer', scope=SCOPE, locations=[f'{SCOPE}.datasets'])
INDEXES = Registry('index', scope=SCOPE, locations=[f'{SCOPE}.inference.index'])
CURATION = Registry('curation part', scope=SCOPE, locations=[f'{SCOPE}.curation'])

__all__ = [
    'CURATION',
    'DATASETS',
    'DATA_SAMPLERS',
    'EVALUATORS',
    'FUNCTIONS',
    'HOOKS',
    'INDEXES',
    'LOG_PROCESSORS',
    'LOOPS',
    'METRICS',
    'MODELS',
    'MODEL_WRAPPERS',
    'OPTIMIZERS',
    'OPTIM_WRAPPERS',
    'OPTIM_WRAPPER_CONSTRUCTORS',
    'PARAM_SCHEDULERS',
    'SCOPE',
    'STRATEGIES',
    'TOKENIZERS',
    'TRANSFORMS',
    'VISBACKENDS',
    'VISUALIZERS',
    'WEIGHT_INITIALIZERS',
]
