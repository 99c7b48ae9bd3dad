"""All layers. A plan holds their places in these tables; to add one, see `docs/how-to/extending/layer.md`.

The plain ones, which most networks do with, have an interpreter of their own, and the same places in both tables.
"""

from . import convolution, dense, dropout, planes, pooling

BLOCK_LAYERS = (planes.LAYER, pooling.MAXIMUM, pooling.MEAN, dropout.ON_BLOCKS)
ROW_LAYERS = (dense.LAYER, dropout.ON_ROWS)
PLAIN_BLOCK_LAYERS = (convolution.PLAIN,)
PLAIN_ROW_LAYERS = (dense.LAYER,)
