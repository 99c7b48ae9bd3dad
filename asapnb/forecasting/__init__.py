"""Forecasts of runs before they are made, and estimates of the constants of a problem from its gradients.

Each module imports from those before it only:

    estimates   the smoothness of a problem, and the noise of its gradients
    known       what formulas say of staleness and pace
    figures     what a schedule, or a run, shows
    parts       the parts of a forecast
    shown       a forecast as texts
    forecasts   all of it
"""

from .estimates import Estimate, gradient_variance, smoothness
from .figures import Figures
from .forecasts import Forecast, forecast
from .known import Known
from .parts import Constant, Objective

__all__ = [
    "Constant",
    "Estimate",
    "Figures",
    "Forecast",
    "Known",
    "Objective",
    "forecast",
    "gradient_variance",
    "smoothness",
]
