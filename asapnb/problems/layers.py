"""All layers. A plan holds their places in these tables; to add one, see `docs/extending/layer.md`."""

from . import convolution, dense

BLOCK_LAYERS = (convolution.LAYER,)
ROW_LAYERS = (dense.LAYER,)
