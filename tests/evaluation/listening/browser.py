"""A real Chromium, driven over its own pipe (DevTools protocol): no package, no port, no network."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-pipe",
)


def find() -> str | None:
    """The command of an installed Chromium, or None."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One window. Use as a context manager; `profile` keeps its storage between two browsers."""

    def __init__(self, profile: Path, *, downloads: Path | None = None) -> None:
        self._command = find()
        self._profile, self._downloads = profile, downloads
        self._number, self._buffer, self._session = 0, b"", None
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def __enter__(self) -> Browser:
        assert self._command is not None
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        # Chromium reads commands from descriptor 3 and answers on 4.
        launch = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            ["bash", "-c", launch, self._command, *FLAGS, f"--user-data-dir={self._profile}", "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._session = session
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        if self._downloads is not None:
            self.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(self._downloads))
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):
            self._session = None
            self.call("Browser.close", patience=5)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for descriptor in (self._in, self._out):
            os.close(descriptor)
        self._errors.close()

    def call(self, method: str, *, patience: float = 300.0, **parameters: Any) -> dict[str, Any]:
        """Send one command and wait for its answer; events that arrive meanwhile are noted."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + patience
        while True:
            answer = self._next(until, method)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._note(answer)

    def _next(self, until: float, method: str) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, until - time.monotonic()))
            got = os.read(self._in, 1 << 20) if ready else b""
            if not got:
                self._errors.seek(0)
                raise TimeoutError(f"no answer to {method}: {self._errors.read()[-800:].decode()}")
            self._buffer += got
        raw, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(raw)

    def _note(self, event: dict[str, Any]) -> None:
        name, given = event.get("method"), event.get("params", {})
        if name == "Network.requestWillBeSent":
            self.requests.append(given["request"]["url"][:200])
        elif name == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(given["exceptionDetails"])[:500])
        elif name == "Log.entryAdded" and given["entry"]["level"] == "error":
            self.complaints.append(given["entry"]["text"])

    def open(self, page: Path) -> None:
        self.call("Page.navigate", url=page.resolve().as_uri())
        self.wait("document.readyState === 'complete'")

    def js(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:800])
        return answer["result"].get("value")

    def wait(self, expression: str, *, patience: float = 300.0) -> None:
        until = time.monotonic() + patience
        while not self.js(f"Boolean({expression})"):
            if time.monotonic() > until:
                raise TimeoutError(f"still false: {expression}")
            time.sleep(0.05)

    def key(self, key: str, *, types: str | None = None) -> None:
        """Press one key as a person would; `types` is the letter that another layout gives it."""
        text = {"Enter": "\r", "Space": " "}.get(key, key if len(key) == 1 else "")
        text = types or text
        name = " " if key == "Space" else types or key
        code = f"Digit{key}" if key.isdigit() else key if len(key) > 1 else f"Key{key.upper()}"
        virtual = {"Enter": 13, "Space": 32, "Tab": 9}.get(key, ord(key.upper()) if len(key) == 1 else 0)
        common = {"key": name, "code": code, "windowsVirtualKeyCode": virtual}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, words: str) -> None:
        self.call("Input.insertText", text=words)

    def screen(self, *, width: int, height: int = 900, dark: bool = False, touch: bool = False) -> None:
        """The size of the window and whether the system is dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=touch,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path, *, whole: bool = True) -> Path:
        import base64

        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))
        return path
