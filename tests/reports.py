"""Runs to report on, and what a page or a chart of it holds."""

import base64
import json
import re
import shutil
from html.parser import HTMLParser

import h5py
import numpy as np

from asapnb.config import run_config
from asapnb.sweep import parse_sweep, run_sweep
from asapnb.sweep.manifest import note
from asapnb.sweep.points import failed

VOID = {"meta", "link", "img", "input", "br"}
SWEEP = {
    "kind": "simulate",
    "repetitions": 2,
    "base": {"problem": "quadratic([1, 10])", "batch_size": 1, "updates": 60, "eval_every": 15},
    "grid": {"rule": ["constant", "tail", "inverse", "fleet"], "workers": [2, 8], "step_size": 0.02},
}


def make_runs(folder):
    """A sweep; a copy of it with a point that failed and one that is not in the manifest; a run that diverged, a
    killed one, and one each of a network in virtual time and on threads."""
    manifest = run_sweep(parse_sweep(SWEEP), folder / "sweep", jobs=1)
    shutil.copytree(folder / "sweep", folder / "failing")
    one, another = manifest.points[:2]
    (folder / "failing" / one.file).unlink()
    note(folder / "failing", failed(one, "Traceback of it\nRuleError: the rule <broke>"))
    lines = (folder / "failing/manifest.jsonl").read_text().splitlines(keepends=True)
    (folder / "failing/manifest.jsonl").write_text("".join(line for line in lines if another.name not in line))
    config = {**SWEEP["base"], "workers": 2, "seed": 5}
    (folder / "odd").mkdir()
    run_config({**config, "step_size": 30.0}, "simulate", out=folder / "odd/diverged.h5")
    run_config({**config, "step_size": 0.01}, "simulate", out=folder / "odd/killed.h5")
    with h5py.File(folder / "odd/killed.h5", "r+") as file:
        file.attrs["status"], file.attrs["pid"] = "running", 2**22 + 1  # no process can have this number
    network = {"problem": "mlp(hidden=[4])", "workers": 2, "updates": 40, "eval_every": 10, "step_size": 0.1}
    run_config(network, "simulate", out=folder / "odd/network.h5")
    run_config(network, "train", out=folder / "odd/threads.h5")
    return folder


def values(array):
    """The numbers of an array as a page holds it."""
    return np.frombuffer(base64.b64decode(array["bdata"]), array["dtype"]).astype(np.float64)


class Page(HTMLParser):
    """A page taken apart: its tags with their attributes and text, checked to be nested rightly."""

    def __init__(self, path):
        super().__init__()
        self.tags, self._open, text = [], [], path.read_text(encoding="utf-8")
        self.text = re.sub(r"<script>.*?</script>|<style>.*?</style>", "", text, flags=re.DOTALL)
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag, attrs):
        found = {"tag": tag, **dict(attrs), "text": ""}
        self.tags.append(found)
        if tag not in VOID:
            self._open.append(found)

    def handle_data(self, data):
        for tag in self._open:
            tag["text"] += data

    def handle_endtag(self, tag):
        assert self._open.pop()["tag"] == tag

    def all(self, tag, **wanted):
        return [found for found in self.tags if found["tag"] == tag and wanted.items() <= found.items()]

    def charts(self):
        """What the script makes of what it gets, by the id of the chart."""
        ids = [figure["id"] for figure in self.all("figure", **{"class": "chart"})]
        given = [tag for tag in self.all("script", type="application/json") if tag.get("class") != "rows"]
        return dict(zip(ids, (unpacked(json.loads(script["text"])) for script in given), strict=True))


def unpacked(chart):
    """A chart whose traces are whole again."""

    def whole(value):
        if isinstance(value, list):
            return list(map(whole, value))
        if not isinstance(value, dict):
            return value
        found = {**chart["looks"][value["look"]], **value} if "look" in value else value
        return {
            name: chart["arrays"][part] if name == "bdata" else whole(part)
            for name, part in found.items() if name != "look"
        }  # fmt: skip

    return {"figures": whole(chart["figures"]), "texts": chart["texts"]}
