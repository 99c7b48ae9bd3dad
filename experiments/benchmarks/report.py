"""A report on 500 runs: seconds to write it, its size, and how long a browser takes to open it.

    python experiments/benchmarks/report.py

Needs the extras `plot` and `dev`, Chromium and chromedriver. Opening is measured in seconds and in processor seconds
of the page's main thread, by a browser that has not seen the page; the machine should have nothing else to do.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from selenium import webdriver

from asapnb.report import report
from asapnb.sweep import parse_sweep, run_sweep

SWEEP = {
    "kind": "simulate",
    "repetitions": 5,
    "base": {"problem": "quadratic([1, 10])", "batch_size": 1, "updates": 400, "eval_every": 10},
    "grid": {
        "rule": ["constant", "tail", "inverse", "preserve(inverse)", "exponential(beta=0.9)"],
        "workers": [2, 4, 8, 16],
        "step_size": [0.003, 0.01, 0.03, 0.1, 0.3],
    },
}
AIM = 2.0  # seconds


def opened(page: Path) -> tuple[float, float]:
    """Seconds and processor seconds until the page is there and its first chart is drawn."""
    options = webdriver.ChromeOptions()
    for flag in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1280,1600"):
        options.add_argument(f"--{flag}")
    with webdriver.Chrome(options=options) as browser:
        browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
        start = time.perf_counter()
        browser.get(page.as_uri())
        while not browser.execute_script("return document.querySelector('.main-svg') !== null"):
            time.sleep(0.01)
        seconds = time.perf_counter() - start
        metrics = {of["name"]: of["value"] for of in browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]}
    return seconds, metrics["TaskDuration"]


def main() -> None:
    """Make the runs, the page, and open it three times, each in a browser of its own."""
    with tempfile.TemporaryDirectory() as folder:
        run_sweep(parse_sweep(SWEEP), Path(folder, "runs"))
        start = time.perf_counter()
        page = report(Path(folder, "runs"), Path(folder, "report.html"))
        print(f"500 runs: written in {time.perf_counter() - start:.1f} s, {page.stat().st_size / 1e6:.1f} MB")
        for _ in range(3):
            seconds, busy = opened(page)
            print(f"opened in {seconds:.2f} s (aim: {AIM:g}), of which {busy:.2f} s of processor time")


if __name__ == "__main__":
    main()
