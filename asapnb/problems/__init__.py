"""What is minimised: networks on data, and problems of one's own, behind one contract."""

from .base import Parameter, Problem, custom, gradient_signature

__all__ = ["Parameter", "Problem", "custom", "gradient_signature"]
