"""What must hold for a run to go on, on real threads or in virtual time."""

from ..errors import RecordError, UsageError
from ..problems.base import Problem, check_is_problem
from ..record import Run, checkpoint_path, file_of
from ..record.schema import COLUMNS, EVALS, SUMMARY
from .evaluation import Evaluation
from .options import Options

CHECKPOINT_SECONDS = 10.0  # of training between two checkpoints
FEW_UPDATES = 100  # so few that to make them again is no loss


def check_columns(run: Run) -> None:
    """RecordError for a run whose rows have other columns than this version of asapnb writes."""
    there = {group: names for group, names in run.columns.items() if group != SUMMARY}  # which is made anew
    theirs = {_path(group, name) for group, names in there.items() for name in names}
    ours = {_path(group, name): one.absent for group in there for name, one in COLUMNS[group].items()}
    needed = {path for path, absent in ours.items() if absent is None}
    for word, names in (("lacks", needed - theirs), ("also has", theirs - ours.keys())):
        if names:
            listed = f"column{'s' * (len(names) > 1)} {', '.join(sorted(names))}"
            raise RecordError(
                f"{run.path} {word} the {listed}: it was recorded by another version of asapnb; go on with that "
                "version, or start the run again"
            )


def _path(group: str, name: str) -> str:
    return name if group == "updates" else f"/{group}/{name}"


def check_problem(run: Run, problem: Problem, force: bool = False) -> None:
    """UsageError if a run was not of this problem, as far as its file tells; with `force` its data may be other."""
    check_is_problem(problem)
    facts, initial = run.attributes, run.params["initial"]
    data = None if problem.data is None else problem.data.sha256()
    for what, theirs, ours in (
        ("problem", run.config.get("problem"), problem.config.get("problem")),
        ("parameters", len(initial), problem.n_params),
        ("dtype", initial.dtype, problem.dtype),
        ("training samples", facts["n_samples"], problem.n_samples),
        ("data (its SHA-256)", facts.get("data_sha256"), data),
    ):
        if theirs != ours and not (force and what.startswith("data")):
            raise UsageError(
                f"{run.path or 'the run'} was made with other {what}: {theirs}, and this is {ours}; "
                "resume and replay need what the run began with"
            )


def check_going_on(run: Run, version: int, seconds: float, options: Options) -> None:
    """UsageError for a run that would end at once, or diverge again."""
    if run.status == "diverged":
        raise UsageError(
            f"{run.path} diverged at update {version:,}, and would diverge again: train anew with a smaller "
            f"step_size than {options.step_size:g}"
        )
    if version >= options.updates:
        raise UsageError(
            f"{run.path} has {version:,} updates, and the total is {options.updates:,}: give a larger total, "
            "epochs or updates (--epochs, --updates)"
        )
    limit, before = options.max_seconds, run.config.get("max_seconds", 0.0)
    if limit is not None and (seconds >= limit or (run.status == "timed-out" and limit <= before)):
        raise UsageError(
            f"{run.path} has been trained for {seconds:.3g} s, and max_seconds is {limit:g}: give a larger "
            "total, max_seconds (--max-seconds)"
        )


def check_lost(run: Run, lost: int, seconds: float, outcome: str) -> None:
    """UsageError if a run that was killed would lose more of its work than any kill loses.

    Args:
        run: the run, whose checkpoint is not there.
        lost: the updates in its file.
        seconds: how long they took.
        outcome: what comes of it, in words.
    """
    if seconds < CHECKPOINT_SECONDS or lost < FEW_UPDATES:
        return
    name = checkpoint_path(file_of(run)).name
    raise UsageError(
        f"{run.path} was killed, and its checkpoint {name} is not in its folder, nor under another name: "
        f"it would start again from version 0, and its {lost:,} updates would be lost{outcome}. Put the checkpoint "
        "into the folder of the file, or start again with force=True (--force)"
    )


def evaluations_of(run: Run, count: int) -> tuple[Evaluation, ...]:
    """The first evaluations of a run."""
    columns = (run.evals[name][:count].tolist() for name in EVALS.names or ())
    return tuple(Evaluation(*values) for values in zip(*columns, strict=True))
