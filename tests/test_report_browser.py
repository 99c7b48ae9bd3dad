"""The page in a real browser: its charts are drawn and answer, nothing is fetched, and it fits small screens."""

import itertools
import json
import os
import shutil

import pytest
from reports import make_runs

from asapnb.report import report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(
        (BROWSER is None or DRIVER is None) and os.environ.get("CI") != "true",
        reason="there is no Chromium with chromedriver: apt-get install chromium chromium-driver",
    ),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of selenium's connections
]
PATIENCE = 300  # seconds, for what a browser does on a busy machine


@pytest.fixture(scope="module")
def browser():
    """A browser without a window, and without any host to reach."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    assert BROWSER is not None, "under CI=true there must be a Chromium"
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu", "hide-scrollbars",
                 "host-resolver-rules=MAP * ~NOTFOUND"):  # fmt: skip
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_page_load_timeout(PATIENCE)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = make_runs(tmp_path_factory.mktemp("report"))
    return report([folder / "sweep", folder / "odd/network.h5"], folder / "all.html").as_uri()


def wait(browser, script, *arguments):
    """What a script returns, as soon as that is true."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, PATIENCE, 0.05).until(lambda driver: driver.execute_script(script, *arguments))


def shown(browser, page, width=1280, dark=False):
    """The page at this width, each chart scrolled to and drawn: the charts."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.get(page)
    charts = browser.find_elements("css selector", ".chart")
    for chart in charts:
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
        wait(browser, "return arguments[0].querySelector('.main-svg .xtick, .main-svg .ytick') !== null", chart)
    return charts


def losses(charts):
    """The chart of the losses of the sweep: two panels of four lines with their bands."""
    return next(chart for chart in charts if chart.get_attribute("id") == "section-2-loss")


def traces(chart):
    """For each trace of a chart, whether it is visible."""
    script = "return arguments[0].querySelector('.plot')._fullData.map((trace) => trace.visible)"
    return chart.parent.execute_script(script, chart)


def test_charts_are_drawn_without_an_error_and_without_a_request(browser, page):
    browser.get_log("browser")
    browser.get_log("performance")
    charts = shown(browser, page)
    assert len(charts) >= 6
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert page in asked
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "blob"}


def test_a_click_in_the_legend_hides_a_line_and_its_band(browser, page):
    from selenium.webdriver.common.action_chains import ActionChains

    chart = losses(shown(browser, page))
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
    assert traces(chart) == [True] * 8
    item = chart.find_elements("css selector", ".legendtoggle")[1]
    ActionChains(browser).move_to_element(item).click().perform()
    wait(
        browser, "return arguments[0].querySelector('.plot')._fullData.some((trace) => trace.visible !== true)", chart
    )
    assert traces(chart) == [True, True, "legendonly", "legendonly", True, True, True, True]


def test_a_choice_changes_the_chart(browser, page):
    from selenium.webdriver.support.ui import Select

    chart = losses(shown(browser, page))
    title = "return arguments[0].querySelector('.xtitle').textContent"
    assert browser.execute_script(title, chart) == "virtual time, s"
    against, runs = chart.find_elements("css selector", "label:not([hidden]) select")
    Select(against).select_by_visible_text("epochs")
    assert wait(browser, f"{title} === 'epochs'", chart)
    before = browser.execute_script("return arguments[0].querySelector('.plot').data[1].y", chart)
    Select(runs).select_by_visible_text("8 workers")
    assert wait(browser, "return arguments[0].querySelector('.plot').data[1].y", chart) != before


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_the_window_and_wide_tables_scroll_inside(browser, page, width):
    charts = shown(browser, page, width)
    assert browser.execute_script("return document.documentElement.scrollWidth") == width
    for chart in charts:
        plot = chart.find_element("css selector", ".main-svg")
        assert chart.rect["width"] >= plot.rect["width"] > 0.8 * chart.rect["width"]
    boxes = "return [...document.querySelectorAll('.scroll')].some((box) => box.scrollWidth > box.clientWidth)"
    assert width > 390 or browser.execute_script(boxes)


def test_in_the_dark_letters_are_light(browser, page):
    script = "return getComputedStyle(arguments[0].querySelector('.xtick text')).fill"
    light, dark = (browser.execute_script(script, shown(browser, page, dark=dark)[0]) for dark in (False, True))
    assert (light, dark) == ("rgb(29, 33, 38)", "rgb(230, 233, 236)")


def test_a_print_shows_all_charts_and_all_that_is_folded(browser, page):
    browser.get(page)
    assert not browser.execute_script("return [...document.querySelectorAll('details')].every((one) => one.open)")
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert browser.execute_script("return [...document.querySelectorAll('details')].every((one) => one.open)")
    drawn = "return [...document.querySelectorAll('.plot')].every((plot) => plot.querySelector('.main-svg'))"
    assert wait(browser, drawn)
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    assert not browser.execute_script("return [...document.querySelectorAll('details')].every((one) => one.open)")


def test_a_long_table_is_turned_over_and_searched(browser, page, monkeypatch, tmp_path_factory):
    monkeypatch.setattr("asapnb.report.page._ROWS", 6)
    folder = next(path for path in tmp_path_factory.getbasetemp().glob("report*") if (path / "sweep").is_dir())
    browser.get(report(folder / "sweep", folder / "paged.html").as_uri())
    box = browser.find_elements("css selector", ".paged")[-1]
    browser.execute_script("arguments[0].closest('details').open = true", box)
    rows = "return [...arguments[0].querySelectorAll('tbody tr')].map((row) => row.cells[0].textContent)"
    said = "return arguments[0].querySelector('output').textContent"
    before, after = box.find_elements("css selector", "button")
    pages = [browser.execute_script(rows, box)]
    while after.is_enabled():
        after.click()
        pages.append(browser.execute_script(rows, box))
    assert browser.execute_script(said, box) == "rows 13 to 16 of 16"
    assert [len(names) for names in pages] == [6, 6, 4]
    assert sorted(itertools.chain(*pages)) == sorted(path.name for path in (folder / "sweep").glob("*.h5"))
    box.find_element("css selector", "input").send_keys("TAIL")
    assert wait(browser, f"{said} === 'rows 1 to 4 of 4'", box)
    assert all("tail" in name for name in browser.execute_script(rows, box))
    assert not before.is_enabled()
    box.find_element("css selector", "input").send_keys("?")
    assert wait(browser, f"{said} === 'rows none of 0'", box)
