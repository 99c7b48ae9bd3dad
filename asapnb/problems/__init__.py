"""What is minimised: networks on data, and problems of one's own, behind one contract."""

from .base import Parameter, Problem, custom, gradient_signature
from .networks import cnn, lenet, mlp, network
from .plan import Conv, Dense, MaxPool, ReLU

__all__ = [
    "Conv",
    "Dense",
    "MaxPool",
    "Parameter",
    "Problem",
    "ReLU",
    "cnn",
    "custom",
    "gradient_signature",
    "lenet",
    "mlp",
    "network",
]
