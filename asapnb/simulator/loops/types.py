"""What the loops take, for type checkers only: at run time no kernel imports host code."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..replay_state import Own, ReplayState
    from ..tournament import Tournament
    from ..world import World
else:
    Own = ReplayState = Tournament = World = object
