"""The kinds of schedules, as compiled code knows them: plain numbers, so that kernels import nothing else from here.

A schedule is a kind and two numbers (`numbers` of the classes in `rules.schedules`):

    kind           numbers           factor of update t, staleness tau, after steps that sum to W
    NO_SCHEDULE    not used          1
    ADADELAY       c, not used       1 / sqrt(1 + c (t + tau))
    BUDGET_SHARE   budget, alpha     alpha max(0, budget - W)
    BUDGET_FIT     budget, limit     budget / (tau + 1) if W + that <= limit, else 0
"""

NO_SCHEDULE, ADADELAY, BUDGET_SHARE, BUDGET_FIT = range(4)
