"""Arguments of a run that its scheme, or the place where it runs, does not have.

Pairs of arguments that exclude each other whatever the scheme stand in `exclusions`.
"""

from collections.abc import Mapping
from typing import Any

from ..errors import UsageError
from ..schemes import SCHEMES, Scheme, measured_only, simulated_only
from ..workforce import Workforce


def check_possible(scheme: Scheme, threaded: bool) -> None:
    """UsageError if real workers, or the simulator, do not have a scheme or one of its options."""
    if threaded and (only := simulated_only(scheme)):
        raise UsageError(f"scheme is {scheme}: {only} is simulator-only; run it in virtual time with simulate")
    if not threaded and scheme.event_loop is None:
        raise UsageError(f"scheme is {scheme}: the simulator does not have it; run it on real workers with train")
    if not threaded and (only := measured_only(scheme)):
        raise UsageError(f"scheme is {scheme}: {only} is for real workers only; run it with train")


def check_place(scheme: Scheme, values: Mapping[str, Any]) -> None:
    """UsageError if the scheme needs MPI, and the run is not on it, or the other way round."""
    ranks = values["comm"]
    if scheme.messages and ranks is None:
        or_else = "" if scheme.event_loop is None else "; or simulate it"
        raise UsageError(
            f"scheme is {scheme}: its workers are other processes. Start them on MPI, as in mpiexec -n 9 asapnb "
            f"train --mpi … (or resume --mpi), or from Python with comm=MPI.COMM_WORLD{or_else}"
        )
    if ranks is None:
        return
    if not scheme.messages:
        raise UsageError(
            f"scheme is {scheme}: its workers are threads of one process; on MPI choose parameter-server, or leave "
            "out comm (--mpi)"
        )
    if values["pin_workers"]:
        raise UsageError(
            "pin_workers is True: on MPI the launcher pins the ranks, as with mpiexec -bind-to core (MPICH), "
            "--bind-to core (Open MPI) or srun --cpu-bind=cores"
        )


def check_known(workforce: Workforce) -> None:
    """UsageError if it is not known beforehand how many workers are in force."""
    if workforce.adapts_to is not None:
        raise UsageError(
            f"workers is {workforce}: it follows the measured progress, and virtual time decides who works when "
            "before there is any gradient. Train it on threads; the attribute in_force of such a run is a table that "
            "simulate takes"
        )


def check_elastic(scheme: Scheme, workforce: Workforce) -> None:
    """UsageError if the number of workers changes under a scheme that cannot have that."""
    if workforce.is_steady:
        return
    if not scheme.elastic:
        able = ", ".join(name for name, one in SCHEMES.items() if one.elastic)
        why = "a round needs a fixed number" if scheme.fresh else "its workers cannot wait until they are in force"
        raise UsageError(
            f"workers is {workforce}, which changes, and scheme is {scheme}: {why}; give one number, or choose {able}"
        )
    for option, used, why in (
        ("bound", scheme.most_ahead is not None, "it counts from the slowest worker, which might not be in force"),
        ("interval", bool(scheme.intervals), "it might wait for a gradient of a worker that is not in force"),
        ("table", scheme.table_of(2) > 0, "the table needs a gradient of every worker"),
    ):
        if used:
            raise UsageError(
                f"workers is {workforce}, which changes, and scheme is {scheme}, with {option}: {why}; give one "
                f"number, or no {option}"
            )


def check_views(scheme: Scheme, values: Mapping[str, Any]) -> None:
    """UsageError for what needs the view of a gradient after it has been computed, where threads do not keep it."""
    needs = {
        "compensation": (values["compensation"] != 0, "it needs the view that the gradient was taken at"),
        "local_steps": (values["local_steps"] > 1, "the steps of a worker begin at its view"),
    }
    for name, (used, why) in needs.items():
        if used and not scheme.keeps_view:
            raise UsageError(
                f"{name} is {values[name]}: {why}, and {scheme} keeps no view, as other workers write over it; "
                "choose hogwild(view=snapshot), lock-based or leashed"
            )


def check_steps(scheme: Scheme, values: Mapping[str, Any]) -> None:
    """UsageError for steps that need updates to be made one after the other, where they race."""
    optimizer, ordered = values["optimizer"], values["momentum"] and values["momentum_kind"] == "ordered"
    if scheme.races and (optimizer.moments or ordered):
        what = f"optimizer is {optimizer}" if optimizer.moments else "momentum_kind is 'ordered'"
        raise UsageError(
            f"{what}: the updates of {scheme} race, component by component, and would mix up what they carry on, "
            "moments or a velocity; choose lock-based, leashed or parameter-server, or plain steps"
        )
    table = scheme.table_of(2) > 0
    if ordered and not scheme.fresh and (scheme.gradients(1) > 1 or table):
        raise UsageError(
            f"momentum_kind is 'ordered': under {scheme} a version has gradients computed at several versions, so "
            f"their mean has no place in the order; leave the {'table' if table else 'buffer'} out, or choose "
            "another momentum_kind"
        )


def check_patience(values: Mapping[str, Any]) -> None:
    """UsageError if there is nothing to wait for."""
    patience, monitor = values["patience"], values["monitor"]
    if patience is None and monitor is not None:
        raise UsageError(
            f"monitor is {monitor!r}: it is what patience watches; give patience, the number of evaluations to wait"
        )
    if patience is not None and values["eval_every"] == 0:
        raise UsageError(f"patience is {patience}, and eval_every is 0, so there are no evaluations to wait for")
