"""One Hypothesis profile: no deadline, because the first call of a kernel compiles it."""

from hypothesis import settings

settings.register_profile("asapnb", deadline=None)
settings.load_profile("asapnb")
