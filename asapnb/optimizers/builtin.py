"""The optimizers of asapnb. In formulas, g is the gradient, and a step is step_size · scale · factor."""

from .optimizer import Optimizer, option, register


@register
class SGD(Optimizer):
    """x ← x − step · g, and with the argument `momentum` of a run as that says."""

    name, moments = "sgd", 0
    source = "Robbins, Monro, Ann. Math. Statist. 22 (1951)"


@register
class Adam(Optimizer):
    """x ← x − step · m̂ / (√v̂ + ε), with means m of the gradients and v of their squares, without their bias.

    m ← β₁·m + (1 − β₁)·g and v ← β₂·v + (1 − β₂)·g², in each component. m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ),
    where t is the version that is made.

    Args:
        beta1: β₁ in [0, 1).
        beta2: β₂ in [0, 1).
        epsilon: ε > 0.

    Source: Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015, arXiv 1412.6980.
    """

    name, moments = "adam", 2
    source = "Kingma, Ba, ICLR 2015, arXiv 1412.6980"

    beta1: float = option(default=0.9, below=1)
    beta2: float = option(default=0.999, below=1)
    epsilon: float = option(default=1e-8, above=True)


@register
class AMSGrad(Optimizer):
    """x ← x − step · m / (√v̂ + ε), with m and v as of Adam, and v̂ the largest v so far, in each component.

    As a server step it is that of FADAS. Its delay-adaptive steps are a matter of the rule.

    Args:
        beta1: β₁ in [0, 1).
        beta2: β₂ in [0, 1).
        epsilon: ε > 0.

    Sources: Reddi, Kale, Kumar, "On the convergence of Adam and beyond", ICLR 2018; Wang, Wang, Lu, Chen, "FADAS:
    towards federated adaptive asynchronous optimization", ICML 2024, arXiv 2407.18365.
    """

    name, moments = "amsgrad", 3
    source = "Reddi, Kale, Kumar, ICLR 2018; as a server step FADAS, ICML 2024, arXiv 2407.18365"

    beta1: float = option(default=0.9, below=1)
    beta2: float = option(default=0.999, below=1)
    epsilon: float = option(default=1e-8, above=True)


@register
class AdaGrad(Optimizer):
    """x ← x − step · g / (√s + ε), with the sum s ← s + g² of the squares so far, in each component.

    Args:
        epsilon: ε > 0.

    Source: Duchi, Hazan, Singer, "Adaptive subgradient methods for online learning and stochastic optimization",
    JMLR 12 (2011).
    """

    name, moments = "adagrad", 1
    source = "Duchi, Hazan, Singer, JMLR 12 (2011)"

    epsilon: float = option(default=1e-10, above=True)
