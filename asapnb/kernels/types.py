"""Type aliases for the parameters of compiled code; mypy checks its bodies as Python."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Words: TypeAlias = NDArray[np.int64]  # shared counters, headers, mailboxes
Vector: TypeAlias = NDArray[Any]  # parameters, gradients, velocities: one axis, in the dtype of the problem
Vectors: TypeAlias = NDArray[Any]  # several of them: two axes
Reals: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = NDArray[Any]  # rows of a named dtype, each with the columns as attributes
Real: TypeAlias = Any  # a number in the dtype of the problem
Gradient: TypeAlias = Callable[..., Any]  # the gradient of a problem: see `problems.gradient_signature`
