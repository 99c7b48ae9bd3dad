"""What is minimised: networks, objectives with known constants, and problems of your own."""

from .activations import LeakyReLU, ReLU, Sigmoid, Tanh
from .analytic import bounded, log_cosh, quadratic, rosenbrock, sine_pl
from .base import Parameter, Problem, gradient_signature
from .constants import Constants
from .convolution import Conv
from .dense import Dense
from .dropout import Dropout
from .networks import cnn, lenet, mlp, network
from .own import custom
from .pooling import AveragePool, MaxPool
from .regression import least_squares, logistic
from .text import register

__all__ = [
    "AveragePool",
    "Constants",
    "Conv",
    "Dense",
    "Dropout",
    "LeakyReLU",
    "MaxPool",
    "Parameter",
    "Problem",
    "ReLU",
    "Sigmoid",
    "Tanh",
    "bounded",
    "cnn",
    "custom",
    "gradient_signature",
    "least_squares",
    "lenet",
    "log_cosh",
    "logistic",
    "mlp",
    "network",
    "quadratic",
    "register",
    "rosenbrock",
    "sine_pl",
]
