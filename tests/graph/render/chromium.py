"""Chromium without a window, driven through a pipe by its DevTools protocol: no package is needed."""

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    # A frame of a notebook is to be looked into from the tab that holds it.
    "--disable-features=IsolateSandboxedIframes",
    "--disable-gpu",
    "--hide-scrollbars",
    "--mute-audio",
    # A container lets no process of the user have namespaces of its own; the pages are the tests' own.
    "--no-sandbox",
)
SECONDS = 60


def find():
    """The browser's path; None where there is none."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class BrowserError(Exception):
    """What the browser or the page's script raised."""


class Browser:
    """One process; every page is a tab of its own."""

    def __init__(self, path, profile):
        there, self._write = os.pipe()
        self._read, here = os.pipe()

        # The browser reads commands from 3 and writes answers to 4.
        connected = f'exec "$0" "$@" 3<&{there} 4>&{here}'
        self._process = subprocess.Popen(
            ["bash", "-c", connected, path, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(there, here),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(there)
        os.close(here)
        self._buffer = b""
        self._number = 0
        self.events = []

    def send(self, method, session=None, **params):
        """Sends a command and waits for its answer; events that come before it are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + SECONDS
        while True:
            answer = self._next(until)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def wait_for(self, method, session):
        """Waits for an event, one that was kept or one that comes."""
        until = time.monotonic() + SECONDS
        while True:
            for place, event in enumerate(self.events):
                if event.get("method") == method and event.get("sessionId") == session:
                    return self.events.pop(place)
            self.events.append(self._next(until))

    def _next(self, until):
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, until - time.monotonic()))
            part = os.read(self._read, 1 << 20) if ready else b""
            if not part:
                raise BrowserError("the browser does not answer" if not ready else "the browser has gone")
            self._buffer += part
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def open(self, url, **options):
        """A page in a new tab, loaded."""
        return Page(self, url, **options)

    def close(self):
        """Ends the process and all that it started."""
        with contextlib.suppress(OSError, BrowserError):
            self.send("Browser.close")
        os.close(self._write)
        os.close(self._read)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


KEYS = {"ArrowRight": 39, "ArrowLeft": 37, "ArrowUp": 38, "ArrowDown": 40, "Home": 36, "End": 35}
KEYS |= {"Enter": 13, "Tab": 9, " ": 32, "p": 80}
TEXTS = {"Enter": "\r", " ": " ", "p": "p"}


class Page:
    """A tab, offline, with all that its console and its network said.

    Args:
        browser: whose.
        url: what to open.
        width, height: of the window.
        dark: whether the reader prefers dark colours.
        still: whether the reader prefers reduced motion.
    """

    def __init__(self, browser, url, *, width=1440, height=900, dark=False, still=True):
        self._browser = browser
        context = browser.send("Target.createBrowserContext")["browserContextId"]
        self._target = browser.send("Target.createTarget", url="about:blank", browserContextId=context)[
            "targetId"
        ]
        self._session = browser.send("Target.attachToTarget", targetId=self._target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.send(f"{domain}.enable")
        self.send(
            "Network.emulateNetworkConditions",
            offline=True,
            latency=0,
            downloadThroughput=0,
            uploadThroughput=0,
        )
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.prefer(dark=dark, still=still)
        self.go(url)

    def send(self, method, **params):
        return self._browser.send(method, self._session, **params)

    def prefer(self, *, dark=False, still=True, media=""):
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"},
        ]
        self.send("Emulation.setEmulatedMedia", media=media, features=features)

    def go(self, url):
        """Opens an address and waits until it is loaded."""
        self._drop("Page.loadEventFired")
        self.send("Page.navigate", url=url)
        self._browser.wait_for("Page.loadEventFired", self._session)

    def _drop(self, method):
        self._browser.events = [e for e in self._browser.events if e.get("method") != method]

    def evaluate(self, code):
        """What an expression comes to; promises are waited for."""
        answer = self.send("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def press(self, key):
        """One key, down and up."""
        common = {"key": key, "windowsVirtualKeyCode": KEYS[key], "code": key}
        text = {"text": TEXTS[key]} if key in TEXTS else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **common, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def click(self, selector):
        """The left button in the middle of an element."""
        x, y = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); "
            "e.scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'}); "
            "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self, whole=False):
        """A PNG of what the window shows, or of the whole page."""
        answer = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(answer["data"])

    def pdf(self):
        """The page as it prints."""
        return base64.b64decode(self.send("Page.printToPDF", printBackground=False)["data"])

    def complaints(self):
        """What console, log and exceptions said that is no mere information."""
        self.evaluate("0")
        found = []
        for event in self._events():
            method, params = event["method"], event["params"]
            if method == "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                found.append(details.get("exception", {}).get("description", details["text"]))
            elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                found.append(params["entry"]["text"])
            elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
                found.append(str(params["args"]))
        return found

    def requests(self):
        """The addresses that it asked for."""
        self.evaluate("0")
        return [
            event["params"]["request"]["url"]
            for event in self._events()
            if event["method"] == "Network.requestWillBeSent"
        ]

    def _events(self):
        return [event for event in self._browser.events if event.get("sessionId") == self._session]

    def close(self):
        self._browser.send("Target.closeTarget", targetId=self._target)
