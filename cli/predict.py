"""`asapnb predict`."""

import csv
import io
import os
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from asapnb.errors import UsageError
from asapnb.record import Run, checked_target, load_run, to_json
from asapnb.record.files import put_in_place

from .options import JSON, output
from .streams import echo


@click.command("predict")
@click.argument("run", type=click.Path(), metavar="RUN.h5")
@click.argument("inputs", type=click.Path(), metavar="INPUTS")
@click.option("--version", type=int, metavar="N",
              help="Use the parameters of this version, if the run kept them.  [default: the last]")  # fmt: skip
@click.option(
    "--scores", is_flag=True, help="Write the outputs of the network instead; for classes these are the logits."
)
@output("FILE.csv", also=", and build your own problem although its code differs from what the run recorded")
@JSON
def command(
    run: str, inputs: str, version: int | None, scores: bool, out: str | None, force: bool, as_json: bool
) -> None:
    """Predict with the final parameters of a run: one line for each input, in the order of the inputs.

    INPUTS may be a file with the columns that the run was trained on; a target among them is ignored. It may also be
    an .npy or .npz file of samples, an image, a folder of images, or the name of a data set, whose test part is
    taken. Inputs are prepared as in training. Classes have the names that the data gives them.

    For the staleness and pace that a run would have, use asapnb forecast.
    """
    if out is not None and (out.endswith(".h5") or _same(out, inputs)):
        raise UsageError(f"-o {out}: predictions need a file of their own; give one such as labels.csv")
    loaded = load_run(run)
    found = loaded.predict(inputs, version=version, scores=scores, force=force)
    names, rows = _table(loaded, found, scores)
    if as_json:
        text = to_json({"columns": names, "predictions": rows[:, 0] if rows.shape[1] == 1 else rows})
    else:
        text = _csv(names, rows)
    if out in (None, "-"):
        echo(text)
        return
    content = f"{text}\n".encode(errors="replace")
    put_in_place(checked_target(out, force), lambda part: part.write_bytes(content))
    echo(f"{out} written, {len(rows):,} predictions.", err=True)


def _same(out: str, inputs: str) -> bool:
    """Whether two names are of one file."""
    try:
        return os.path.samefile(out, inputs)
    except (OSError, ValueError):
        return False


def _table(run: Run, found: NDArray[Any], scores: bool) -> tuple[list[str], NDArray[Any]]:
    """The names of the columns, and predictions as rows."""
    facts: dict[str, Any] = run.attributes.get("data") or {}
    classes, targets = facts.get("classes"), facts.get("preparation", {}).get("targets", [])
    if found.ndim == 1 and found.dtype.kind in "iu" and isinstance(classes, list):
        found = np.array(list(map(str, classes)), object)[found] if "preparation" not in facts else found
    if found.dtype == bool and isinstance(classes, list):
        found = np.array(list(map(str, classes)), object)[found.astype(int)]
    rows = found.reshape(len(found), -1)
    names = classes if isinstance(classes, list) and (scores or found.ndim > 1) else targets
    if len(names) == rows.shape[1]:
        return list(map(str, names)), rows
    return ["prediction"] if rows.shape[1] == 1 else [str(at) for at in range(rows.shape[1])], rows


def _csv(names: list[str], rows: NDArray[Any]) -> str:
    """Rows as CSV, floats in full."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows((rows.astype(str) if rows.dtype.kind == "f" else rows).tolist())
    return text.getvalue().rstrip("\n")
