"""Optimizers: how a gradient becomes a step of the parameters, and what one step carries on to the next.

The rule's scale and the schedule's factor multiply the step, not the moments. An optimizer divides its step by the
size of the gradients, so scaling the gradients themselves would have little effect. If scale or factor is 0, the
gradient is given up: parameters and moments stay as they are, and only the version rises. A buffer is different: its
mean takes each gradient with its own scale and factor, and the optimizer makes a step on that mean.

All workers share one set of moments, which every update changes. So updates must be made one after the other, as
they are under all schemes but Hogwild.

>>> parse_optimizer("adam(beta1=0.8)")
adam(beta1=0.8, beta2=0.999, epsilon=1e-08)
"""

from .builtin import SGD, AdaGrad, Adam, AMSGrad
from .optimizer import OPTIMIZERS, Optimizer, as_optimizer, parse_optimizer

__all__ = ["OPTIMIZERS", "SGD", "AMSGrad", "AdaGrad", "Adam", "Optimizer", "as_optimizer", "parse_optimizer"]
