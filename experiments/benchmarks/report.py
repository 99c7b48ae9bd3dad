"""Reports on 5,000 runs of 12 and of 500 cells: seconds to write them, their size, and seconds to open them.

    python experiments/benchmarks/report.py [--runs N] [FOLDER ...]

Makes the runs, or takes those in folders. Needs the extras `plot` and `dev`, Chromium and chromedriver. A page is
open when it is loaded and each of its charts has been scrolled to and drawn, by a browser that has not seen the page;
beside it are the processor seconds of the page's main thread, and the longest that a choice in a menu takes to be
drawn. The machine should have nothing else to do.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from selenium import webdriver

from asapnb.report import report
from asapnb.sweep import parse_sweep, run_sweep

BASE = {"problem": "quadratic([1, 10], noise=0.1)", "batch_size": 1, "updates": 400, "eval_every": 20}
GRIDS: dict[int, dict[str, Any]] = {
    12: {"rule": ["constant", "tail", "inverse"], "workers": [2, 8], "step_size": [0.01, 0.03]},
    500: {
        "rule": ["constant", "tail", "inverse", "fleet"],
        "workers": [2, 4, 8, 16, 32],
        "step_size": [round(0.002 * 1.15**k, 5) for k in range(25)],
    },
}
WRITTEN, OPEN = 20.0, 3.0  # seconds, the aims
DRAWN = "return arguments[0].querySelector('.main-svg .xtick, .main-svg .ytick') !== null"
CHOSEN = """
const [select] = arguments, start = performance.now();
select.selectedIndex = select.options.length - 1;
select.dispatchEvent(new Event("change", {bubbles: true}));
document.body.offsetHeight;
return performance.now() - start;
"""


def opened(page: Path) -> tuple[float, float, float]:
    """Seconds until all charts are drawn, processor seconds of that, and milliseconds of the slowest choice."""
    options = webdriver.ChromeOptions()
    for flag in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1280,1600"):
        options.add_argument(f"--{flag}")
    with webdriver.Chrome(options=options) as browser:
        browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
        start = time.perf_counter()
        browser.get(page.as_uri())
        for chart in browser.find_elements("css selector", ".chart"):
            browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
            while not browser.execute_script(DRAWN, chart):
                time.sleep(0.005)
        seconds = time.perf_counter() - start
        metrics = {of["name"]: of["value"] for of in browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]}
        menus = browser.find_elements("css selector", ".chart label:not([hidden]) select")
        slowest = max(browser.execute_script(CHOSEN, menu) for menu in menus)
    return seconds, metrics["TaskDuration"], slowest


def measure(folder: Path, page: Path) -> None:
    """Write the page and open it three times, each in a browser of its own."""
    start, busy = time.perf_counter(), time.process_time()
    report(folder, page)
    seconds, cpu = time.perf_counter() - start, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(
        f"  written in {seconds:.1f} s (aim: {WRITTEN:g}), {cpu:.1f} s of processor time; peak memory {peak:.0f} MB"
    )
    print(f"  {page.stat().st_size / 1e6:.1f} MB")
    for _ in range(3):
        seconds, cpu, slowest = opened(page)
        print(f"  open in {seconds:.2f} s (aim: {OPEN:g}), {cpu:.2f} s of processor time; a choice: {slowest:.0f} ms")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="runs that there are")
    parser.add_argument("--runs", type=int, default=5000, help="runs to make of each grid (default 5000)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        for folder in given.folders:
            print(folder)
            measure(folder, Path(place, f"{folder.name}.html"))
        for cells, grid in GRIDS.items() if not given.folders else ():
            sweep = {"kind": "simulate", "repetitions": max(1, given.runs // cells), "base": BASE, "grid": grid}
            made = run_sweep(parse_sweep(sweep), Path(place, str(cells)))
            print(f"{len(made.points):,} runs of {cells} cells")
            measure(Path(place, str(cells)), Path(place, f"{cells}.html"))


if __name__ == "__main__":
    main()
