"""How Numba compiles a part: only to LLVM's language, for its callers, and not to machine code of its own.

Numba optimises each function and turns it into machine code. Then it links the function into each caller and does the
same again. Only compiled code calls a part, so the first round is wasted. Without it, a first run compiles in two
thirds of the time.
"""

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder


class _Linked(JITCodeLibrary):
    """A library that is only linked into others."""

    @property
    def codegen(self) -> Any:
        """Numba stores the environment of a compiled function here."""
        return _Nowhere

    def get_pointer_to_function(self, name: str) -> int:
        """There is no machine code to point to."""
        self._ensure_finalized()
        return 0

    def _optimize_final_module(self) -> None:
        """Do nothing: the callers are optimised later, with all that is linked into them."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


class _Nowhere:
    """Keeps no environments."""

    @staticmethod
    def set_env(name: str, environment: Any) -> None:
        """Do nothing: nobody asks for the environment."""


class PartCompiler(CompilerBase):
    """Numba's own compiler, up to LLVM."""

    def define_pipelines(self) -> list[Any]:
        """The steps that Numba takes for every function, with a library that is only linked."""
        steps = DefaultPassBuilder.define_nopython_pipeline(self.state)
        self.state.library = _Linked(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        steps.finalize()
        return [steps]
