"""The optimizers of asapnb. In formulas, g is the gradient, and a step is step_size · scale · factor."""

from .optimizer import Optimizer, option, register


@register
class SGD(Optimizer):
    """x ← x − step · g: plain SGD. The argument `momentum` of a run adds momentum.

    >>> SGD()
    sgd
    """

    name, moments = "sgd", 0
    source = "Robbins, Monro, Ann. Math. Statist. 22 (1951)"


@register
class Adam(Optimizer):
    """x ← x − step · m̂ / (√v̂ + ε), with running means of the gradients and of their squares.

    In each component, m ← β₁·m + (1 − β₁)·g and v ← β₂·v + (1 − β₂)·g². Both begin at 0. m̂ = m / (1 − β₁ᵗ) and
    v̂ = v / (1 − β₂ᵗ) correct for that; t is the version that the update makes.

    Args:
        beta1: β₁, how much of m is kept, in [0, 1).
        beta2: β₂, how much of v is kept, in [0, 1).
        epsilon: ε, which bounds the divisor away from 0; > 0.

    Source: Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015, arXiv 1412.6980.

    >>> Adam(beta1=0.8)
    adam(beta1=0.8, beta2=0.999, epsilon=1e-08)
    """

    name, moments = "adam", 2
    source = "Kingma, Ba, ICLR 2015, arXiv 1412.6980"

    beta1: float = option(default=0.9, below=1)
    beta2: float = option(default=0.999, below=1)
    epsilon: float = option(default=1e-8, above=True)


@register
class AMSGrad(Optimizer):
    """x ← x − step · m / (√v̂ + ε), with m and v as in Adam. v̂ is the largest v so far, in each component.

    FADAS makes this step at the server. For the delay-adaptive step sizes of FADAS, choose a rule.

    Args:
        beta1: β₁, how much of m is kept, in [0, 1).
        beta2: β₂, how much of v is kept, in [0, 1).
        epsilon: ε, which bounds the divisor away from 0; > 0.

    Sources: Reddi, Kale, Kumar, "On the convergence of Adam and beyond", ICLR 2018; Wang, Wang, Lu, Chen, "FADAS:
    towards federated adaptive asynchronous optimization", ICML 2024, arXiv 2407.18365.

    >>> AMSGrad(beta2=0.99)
    amsgrad(beta1=0.9, beta2=0.99, epsilon=1e-08)
    """

    name, moments = "amsgrad", 3
    source = "Reddi, Kale, Kumar, ICLR 2018; as a server step FADAS, ICML 2024, arXiv 2407.18365"

    beta1: float = option(default=0.9, below=1)
    beta2: float = option(default=0.999, below=1)
    epsilon: float = option(default=1e-8, above=True)


@register
class AdaGrad(Optimizer):
    """x ← x − step · g / (√s + ε), where s ← s + g² is the sum of the squares so far, in each component.

    Args:
        epsilon: ε, which bounds the divisor away from 0; > 0.

    Source: Duchi, Hazan, Singer, "Adaptive subgradient methods for online learning and stochastic optimization",
    JMLR 12 (2011).

    >>> AdaGrad()
    adagrad(epsilon=1e-10)
    """

    name, moments = "adagrad", 1
    source = "Duchi, Hazan, Singer, JMLR 12 (2011)"

    epsilon: float = option(default=1e-10, above=True)
