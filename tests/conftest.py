"""One Hypothesis profile: no deadline, as the first call of a kernel compiles it. And clocks that a test drives."""

from hypothesis import settings

settings.register_profile("asapnb", deadline=None)
settings.load_profile("asapnb")
