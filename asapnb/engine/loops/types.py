"""What the loops take, for type checkers only: at run time no kernel imports host code."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..shared import Own, Shared
else:
    Own = Shared = object
