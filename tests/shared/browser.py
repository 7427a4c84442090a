"""A page in headless Chromium, driven over the DevTools protocol."""

import contextlib
import importlib.util
import json
import pathlib
import shutil
import subprocess
import urllib.request

import processes
from websockets.sync.client import connect

READY = "document.querySelector('main')?.hidden === false"
"""True once the scripts of a page have begun."""
PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """Browser with one page.

    Attributes:
      errors: texts of exceptions and of console errors so far.
    """

    def __init__(self, socket, downloads: pathlib.Path):
        """Listen to a page by its socket; downloads are kept in a folder."""
        self.socket, self.downloads = socket, downloads
        self.errors: list[str] = []
        self.sent = 0
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))

    def call(self, method, **parameters):
        """Answer of the browser; events before it are looked through for errors."""
        self.sent += 1
        self.socket.send(json.dumps({"id": self.sent, "method": method, "params": parameters}))
        while (message := json.loads(self.socket.recv(timeout=processes.PATIENCE))).get("id") != self.sent:
            self._note(message)
        assert "error" not in message, message
        return message["result"]

    def _note(self, message):
        given = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(given["exceptionDetails"]))
        if message.get("method") == "Log.entryAdded" and given["entry"]["level"] == "error":
            self.errors.append(given["entry"]["text"])
        if message.get("method") == "Runtime.consoleAPICalled" and given["type"] == "error":
            self.errors.append(json.dumps(given["args"]))

    def open(self, address, width, ready, height=900):
        """Load a page at a width, until an expression is true."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=address)
        wait(lambda: self.run(f"document.readyState === 'complete' && ({ready})"))

    def run(self, script):
        """Value of an expression, of which a promise is awaited."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")


@contextlib.contextmanager
def started(folder):
    """Browser that runs as long as the context."""
    assert PROGRAM, "the test is skipped without a browser"
    flags = ("headless", "no-sandbox", "disable-gpu", "remote-debugging-port=0", f"user-data-dir={folder}")
    command = [PROGRAM, *(f"--{flag}" for flag in flags), "about:blank"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            address = processes.awaited(lambda: _page(folder))
            with connect(address, max_size=None, open_timeout=processes.PATIENCE) as socket:
                yield Browser(socket, folder / "downloads")
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()


def _page(folder):
    """Address of the socket of the page; None before there is one."""
    port = folder / "DevToolsActivePort"
    if not (port.is_file() and "\n" in port.read_text()):
        return None
    with urllib.request.urlopen(f"http://127.0.0.1:{port.read_text().split()[0]}/json") as answer:
        pages = (each for each in json.load(answer) if each["type"] == "page")
        return next((page["webSocketDebuggerUrl"] for page in pages), None)


wait = processes.awaited
"""Return once something is true."""


def downloaded(page, pattern, count=1):
    """Paths by name of so many downloads; until one is there, Chromium has an empty file of its name."""

    def whole():
        found = [path for path in page.downloads.glob(pattern) if path.stat().st_size]
        return len(found) == count and {path.name: path for path in found}

    return wait(whole)


def text(page, selector):
    """Text of the first element."""
    return page.run(f"document.querySelector({json.dumps(selector)}).textContent")


def texts(page, selector):
    """Texts of all elements, as they are seen."""
    return page.run(f"[...document.querySelectorAll({json.dumps(selector)})].map((each) => each.innerText)")


def choose(page, selector, value):
    """Set a control."""
    page.run(
        f"{{ const each = document.querySelector({json.dumps(selector)}); each.value = {json.dumps(value)};"
        "each.dispatchEvent(new Event('input')); each.dispatchEvent(new Event('change')); }"
    )


def click(page, selector):
    """Press the first element."""
    page.run(f"document.querySelector({json.dumps(selector)}).click()")


def on_paper(page, script):
    """Value of an expression while the page is printed."""
    page.run(
        f"window.addEventListener('beforeprint', () => {{ window.printed = ({script}); }}, {{ once: true }})"
    )
    page.call("Page.printToPDF")
    return page.run("window.printed")


def assert_accessible(page, width):
    """Nothing is wider than the page, nothing to press is smaller than a finger, and axe finds nothing."""
    axe = pathlib.Path(importlib.util.find_spec("axe_core_python").origin).with_name("axe.min.js")
    page.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.run("document.documentElement.scrollWidth") <= width
    small = page.run(
        "[...document.querySelectorAll('button, select, summary, input:not(.card input)')].filter((each) => {"
        "const { width, height } = each.getBoundingClientRect(); return width && (height < 24 || width < 24);"
        "}).map((each) => each.outerHTML)"
    )
    assert small == []
    page.run(axe.read_text())
    found = page.run(
        "axe.run().then(({ violations }) => violations.map(({ id, impact, nodes }) => "
        "[impact, id, nodes[0].html, nodes[0].failureSummary]))"
    )
    assert not found, found
