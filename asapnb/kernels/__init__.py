"""Compiled code that the engine and the simulator share, and the arrays that it works on.

`atomics` and `waiting` are operations on shared words, `arithmetic` is what an update does to parameters, `arrays`
makes memory and Numba types, `types` names them. Nothing here knows schemes, options or files: what a kernel imports
is part of the key under which it is cached.
"""
