"""The kinds of steps, and the words that say which one a run makes: see `steps`."""

KIND, FIRST = 0, 1  # positions: the kind, and where its numbers begin
HOW = 4  # words

# Kinds, and their numbers
SGD = 0
MOMENTUM = 1  # μ
QUASI_HYPERBOLIC = 2  # μ, the direct share d
ORDERED = 3  # μ, the workers
OPTIMIZER = 4  # and on: those of the table `steps.OPTIMIZERS`; their options
