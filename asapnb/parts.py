"""What Numba makes of a part: code in LLVM's language for its callers, and no machine code of its own.

Numba optimises each function and turns it into machine code, then links it into each caller and does so again. Of a
part, which nobody else calls, only the last counts. Without the others a first run compiles in two thirds of the
time.
"""

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder


class _Linked(JITCodeLibrary):
    """A library that is only linked into others."""

    @property
    def codegen(self) -> Any:
        """For Numba, which tells it the environment of what it has compiled."""
        return _Nowhere

    def get_pointer_to_function(self, name: str) -> int:
        """There is no machine code to point to."""
        self._ensure_finalized()
        return 0

    def _optimize_final_module(self) -> None:
        """Its callers are optimised, with all that is linked into them."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


class _Nowhere:
    """Keeps no environments."""

    @staticmethod
    def set_env(name: str, environment: Any) -> None:
        """Nothing asks for it."""


class PartCompiler(CompilerBase):
    """Numba's own compiler, up to LLVM."""

    def define_pipelines(self) -> list[Any]:
        """The steps that Numba takes for every function, with a library that is only linked."""
        steps = DefaultPassBuilder.define_nopython_pipeline(self.state)
        self.state.library = _Linked(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        steps.finalize()
        return [steps]
