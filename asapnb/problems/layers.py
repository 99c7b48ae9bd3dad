"""All layers. A plan holds their places in these tables; to add one, see `docs/extending/layer.md`.

The plain ones, which most networks do with, have an interpreter of their own, and the same places in both tables.
"""

from . import convolution, dense, planes, pooling

BLOCK_LAYERS = (planes.LAYER, pooling.MAXIMUM, pooling.MEAN)
ROW_LAYERS = (dense.LAYER,)
PLAIN_BLOCK_LAYERS = (convolution.PLAIN,)
PLAIN_ROW_LAYERS = (dense.LAYER,)
