"""The factors that rules have of their own, as compiled code knows them: plain numbers, and nothing is imported.

A factor is a kind and an array of numbers (`numbers` of the classes in `rules.schedules`):

    kind           numbers                factor of update t, staleness tau, after steps that sum to W
    NO_FACTOR      not used               1
    AT_ARRIVAL     a factor each of       numbers[t + tau]
                   0, 1, 2, …
    BUDGET_SHARE   budget, alpha          alpha max(0, budget - W)
    BUDGET_FIT     budget, limit          budget / (tau + 1) if W + that <= limit, else 0
"""

NO_FACTOR, AT_ARRIVAL, BUDGET_SHARE, BUDGET_FIT = range(4)
