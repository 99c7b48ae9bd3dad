"""Look at every page of the built site in a headless Chromium, 1280 and 390 pixels wide: `make look`.

A page is wrong if it is wider than the screen, if its console shows an error, if an image is missing, if it asks a
network for anything, if markup is left in its text, or if a link leads nowhere. Wide tables, code and formulas scroll
within themselves.
"""

import json
import os
import re
import shutil
import sys
from html import unescape
from pathlib import Path
from urllib.parse import unquote

SITE = Path(__file__).parents[1] / "build" / "site"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu", "hide-scrollbars", "no-first-run",
    "disable-background-networking", "disable-component-update", "disable-sync",
    "host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
SEEN = r"""
const article = document.querySelector("article").cloneNode(true);
article.querySelectorAll("pre, code, math, script, style, .sig").forEach((part) => part.remove());
const text = article.textContent;
const left = text.match(/\$\$|\$[^$\s][^$\n]*\$|:math:|\{\w+\}`|\{toctree\}|```|\]\(|\*\*\w[^*\n]*\*\*|^#+ /m);
return [
  ...(left ? [`markup in the text: ${left[0]}`] : []),
  ...[...document.querySelectorAll(".problematic, .system-message, merror")].map((part) => part.textContent),
  ...[...document.images].filter((image) => !image.naturalWidth).map((image) => `no image: ${image.src}`),
  ...[...document.images].filter((image) => !image.alt).map((image) => `no description: ${image.src}`),
];
"""
WIDE = r"""
const width = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth <= width) return [];
const parts = [...document.querySelectorAll("article *")];
const wide = parts.filter((part) => part.getBoundingClientRect().right > width + 1);
return [`${document.documentElement.scrollWidth} pixels wide on ${width}: ${wide.slice(0, 3).map((part) =>
  `<${part.tagName.toLowerCase()}> ${part.textContent.slice(0, 40)}`).join("; ")}`];
"""


def dead_links(pages):
    """The links within the site that lead to no file, or to no place on their page."""
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    places = {page: {unescape(name) for name in re.findall(r'\bid="([^"]+)"', text)} for page, text in texts.items()}
    for page, text in texts.items():
        for link in set(map(unescape, re.findall(r'<a\b[^>]*\bhref="([^"]*)"', text))):
            if re.match(r"[a-z]+:", link):
                continue
            path, _, place = map(unquote, link.partition("#"))
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (place and target in places and place not in places[target]):
                yield f"{page.relative_to(SITE)}: a link to {link}, which is not there"


def start():
    """A browser without a window, and without any host to reach."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in FLAGS:
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service(DRIVER))


def faults(browser, page):
    """What is wrong with a page."""
    for width in (1280, 390):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        if width == 1280:
            browser.get(page.as_uri())
            yield from browser.execute_script(SEEN)
        yield from browser.execute_script(WIDE)
    yield from (entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING"))
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            url = message["params"]["request"]["url"]
            if not url.startswith(("file:", "data:", "blob:")):
                yield f"asks for {url}"


def main():
    """Look at all pages; the exit code is 1 if one is wrong."""
    pages = sorted(page for page in SITE.rglob("*.html") if "_static" not in page.parts)
    contents = [
        page for page in pages if page.parent != SITE or page.stem.isupper()
    ]  # not search, index and redirect
    found = list(dead_links(contents))
    if BROWSER and DRIVER:
        browser = start()
        try:
            for page in contents:
                found += [f"{page.relative_to(SITE)}: {fault}" for fault in faults(browser, page)]
        finally:
            browser.quit()
        print(f"{len(contents)} pages looked at, {len(found)} faults")
    elif os.environ.get("CI") == "true":
        found.append("there is no Chromium with chromedriver: apt-get install chromium chromium-driver")
    else:
        print("not looked at: there is no Chromium with chromedriver")
    print(*found, sep="\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
