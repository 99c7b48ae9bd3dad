"""How bytes become inputs: a constant that compiled code shares, and nothing else."""

import numpy as np

PIXEL_SCALE = np.float32(1 / 255)
"""Bytes times this number are the inputs; kernels that read the bytes use the same number."""
