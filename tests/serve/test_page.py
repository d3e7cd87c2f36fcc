"""The page in Chromium, operated as people do. Skipped where playwright or Chromium is not installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile
import uvicorn

from intona.serve.app import create_app
from intona.serve.run import uvicorn_config
from intona.serve.settings import Settings

from .conftest import Singer

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]
expect = playwright.expect
expect.set_options(timeout=60_000)  # of a loaded machine
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
# The browser's lines about responses that are not 200, and about those that a test aborts.
EXPECTED_ERRORS = ("status of 400", "status of 401", "status of 429", "net::ERR_FAILED")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    arguments = [
        "--autoplay-policy=no-user-gesture-required",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
    ]
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def serve(voices: dict[str, Singer]) -> Iterator[Callable[..., str]]:
    """Start servers; the arguments are `Settings`."""
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(**settings: Any) -> str:
        chosen = Settings(**{"models": ("one", "two"), "transcribers": (), **settings})
        server = uvicorn.Server(uvicorn_config(create_app(chosen), chosen))
        listener = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"

    yield start
    for voice in voices.values():
        voice.gate.set()
    for server, thread in servers:
        server.should_exit = True
        thread.join(30)


@pytest.fixture
def visit(browser: Any, serve: Callable[..., str]) -> Iterator[Callable[..., Any]]:
    """Open the page of a new server. At the end: no errors, and no request to another host."""
    problems: list[str] = []
    contexts: list[Any] = []

    def open_page(viewport: dict[str, int] = WIDE, scheme: str = "light", **settings: Any) -> Any:
        url = serve(**settings)
        context = browser.new_context(
            viewport=viewport, color_scheme=scheme, locale="en-GB", permissions=["microphone"]
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)

        def on_console(message: Any) -> None:
            if message.type in ("error", "warning") and not any(e in message.text for e in EXPECTED_ERRORS):
                problems.append(message.text)

        def on_request(request: Any) -> None:
            if urlsplit(request.url).netloc not in ("", urlsplit(url).netloc):
                problems.append(request.url)

        page.on("console", on_console)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", on_request)
        page.goto(url)
        if "api_key" not in settings:
            status(page, "Ready.")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not problems


def status(page: Any, text: str) -> None:
    expect(page.locator("#status")).to_contain_text(text)


def speak(page: Any, text: str) -> None:
    page.fill("#text", text)
    page.keyboard.press("Control+Enter")
    status(page, "of speech in")


def at(page: Any, seconds: str) -> None:
    expect(page.locator("#timeline canvas")).to_have_attribute("aria-valuenow", seconds)


# The words that are highlighted from now on, in `window.marked`.
WATCH_WORDS = """() => {
  window.marked = [];
  const keep = ({ target }) => target.ariaCurrent === 'true' && window.marked.push(target.textContent);
  new MutationObserver((changes) => changes.forEach(keep)).observe(
    document.querySelector('.words'), { subtree: true, attributeFilter: ['aria-current'] });
}"""


def test_speak_and_play_from_a_word(visit: Callable[..., Any], tmp_path: Path):
    page = visit()
    text = "one two three four five six seven eight nine ten eleven twelve"
    speak(page, text)
    words = page.locator(".word")
    expect(words).to_have_count(12)
    expect(page.locator("#status")).to_contain_text("6.0 s of speech in")
    expect(page.locator("#status")).to_contain_text("first sound after")
    expect(page.locator("#play")).to_have_attribute("aria-label", "Play")  # it ends by itself
    page.evaluate(WATCH_WORDS)
    words.nth(4).click()
    page.screenshot(path=tmp_path / "playing.png")
    expect(page.locator("#play")).to_have_attribute("aria-label", "Play")
    at(page, "6.0")
    marked = page.evaluate("window.marked")
    assert marked[0] == "five" and marked[-1] == "twelve" and marked == sorted(marked, key=text.split().index)
    expect(words.nth(11)).not_to_have_attribute("aria-current", "true")
    drawn = page.evaluate(
        """() => { const c = document.querySelector('.plot');
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        const colours = new Set(); for (let i = 0; i < d.length; i += 4)
          if (d[i + 3] > 250) colours.add([d[i], d[i + 1], d[i + 2]].join()); return [...colours]; }"""
    )
    assert "194,200,238" in drawn and "194,65,12" in drawn  # waveform and pitch


def test_sound_starts_before_the_text_is_complete(visit: Callable[..., Any], voices: dict[str, Singer]):
    page = visit()
    page.fill("#text", "one two wait four")
    page.click("#speak")
    status(page, "first sound after")
    expect(page.locator(".word")).to_have_count(2)
    expect(page.locator("#play")).to_have_attribute("aria-label", "Pause")
    at(page, "1.0")  # it has played what there is, and waits for more
    expect(page.locator("#play")).to_have_attribute("aria-label", "Pause")
    voices["one"].gate.set()
    status(page, "2.0 s of speech in")
    expect(page.locator("#play")).to_have_attribute("aria-label", "Play")
    at(page, "2.0")


def test_cancel_stops_the_server(visit: Callable[..., Any], voices: dict[str, Singer]):
    page = visit()
    page.fill("#text", "one wait " + "word " * 50)
    page.click("#speak")
    status(page, "first sound after")
    page.keyboard.press("Escape")
    status(page, "Cancelled.")
    expect(page.locator("#speak")).to_be_enabled()
    page.wait_for_timeout(500)
    voices["one"].gate.set()
    assert voices["one"].closed.wait(30)
    assert voices["one"].n_pieces < 10
    speak(page, "again")


def test_controls_come_from_the_server(visit: Callable[..., Any], voices: dict[str, Singer]):
    page = visit()
    page.fill("#option-rate", "9")
    page.keyboard.press("Tab")
    expect(page.locator("#option-rate")).to_have_value("4")  # the server's limit
    page.get_by_role("button", name="Rate: back to the default").click()
    expect(page.locator("#option-rate")).to_have_value("1")
    page.get_by_role("button", name="Another seed").click()
    seed = page.locator("#option-seed").input_value()
    page.locator(".more > summary").click()
    page.fill("#option-steps", "7")
    speak(page, "one")
    (_, options) = voices["one"].calls[-1]
    assert (options.seed, options.steps, options.rate) == (int(seed), 7, None)
    page.select_option("#voice", "two")
    expect(page.locator("#option-steps")).to_have_count(0)
    page.select_option("#option-speaker", "boris")
    page.fill("#option-style", "calm")
    speak(page, "two")
    (_, options) = voices["two"].calls[-1]
    assert (options.speaker, options.style, options.steps) == ("boris", "calm", None)
    expect(page.locator(".word")).to_have_count(0)  # this voice does not know times


def test_stress_is_corrected_by_a_click(visit: Callable[..., Any]):
    page = visit()
    page.fill("#text", "З+амок, кто-то и 5")
    page.click("#reading > summary")
    words = page.locator(".read-word")
    expect(words).to_have_count(4)
    expect(words.nth(0).locator(".stressed")).to_have_text("а\u0301")
    expect(words.nth(3).locator(".vowel")).to_have_count(0)  # a number is not corrected
    words.nth(0).locator(".vowel").nth(1).click()
    expect(page.locator("#text")).to_have_value("Зам+ок, кто-то и 5")
    expect(words.nth(0).locator(".stressed")).to_have_text("о\u0301")
    words.nth(1).locator(".vowel").nth(1).click()
    expect(page.locator("#text")).to_have_value("Зам+ок, кто-т+о и 5")
    page.click("#undo")
    page.click("#undo")
    expect(page.locator("#text")).to_have_value("З+амок, кто-то и 5")
    expect(page.locator("#undo")).to_be_hidden()
    page.fill("#text", "Берег. 日本!")
    expect(page.locator("#reading .problems")).to_contain_text("U+65E5")


def test_alignment_of_what_is_read_with_the_text(visit: Callable[..., Any]):
    page = visit()
    result = page.evaluate(
        """async () => { const s = await import('/page/stress.js');
        const text = 'В 25 з+амках, за\u0301мок — +Эхо эхо 25';
        const sources = s.sourceWords(text);
        const read = ['В', 'двадцати', 'пяти', 'замках', 'замок', 'Эхо', 'эхо', 'двадцать'];
        const aligned = s.align(read, sources);
        return [aligned.map((a) => a && text.slice(a.start, a.end)), s.stressed(text, aligned[4], 1),
          s.stressed(text, aligned[5], 1), s.stressedVowel(['z', 'ɐ', 'm', 'ˈo', 'k'])]; }"""
    )
    assert result[0] == ["В", None, None, "з+амках", "за\u0301мок", "+Эхо", "эхо", None]
    assert result[1] == "В 25 з+амках, зам+ок — +Эхо эхо 25"
    assert result[2] == "В 25 з+амках, за\u0301мок — Эх+о эхо 25"
    assert result[3] == 1


def test_compare_two_settings(visit: Callable[..., Any], voices: dict[str, Singer], tmp_path: Path):
    page = visit()
    page.fill("#text", "one two three four")
    page.click("#compare")
    expect(page.locator("#differences")).to_contain_text("the same settings")
    page.locator("#slots").get_by_text("B").click()
    expect(page.locator("#settings-slot")).to_have_text("of B")
    page.fill("#option-rate", "1.5")
    page.keyboard.press("Tab")
    expect(page.locator("#differences")).to_have_text("A: rate 1 · B: rate 1.5")
    page.click("#speak")
    expect(page.locator("#speak")).to_be_enabled()
    assert [options.rate for _, options in voices["one"].calls] == [1.5, None]
    expect(page.locator("#play")).to_have_attribute("aria-label", "Play")  # B has been played
    page.focus(".plot")
    page.keyboard.press("Home")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    at(page, "1.5")
    page.locator("#slots").get_by_text("A").click()
    at(page, "1.5")  # the words of both take equally long
    page.check("#blind")
    expect(page.locator("#settings")).to_be_hidden()
    expect(page.locator("#differences")).to_be_empty()
    expect(page.locator(".word").first).to_be_hidden()
    page.screenshot(path=tmp_path / "blind.png")
    page.locator("#verdict button").nth(0).click()
    expect(page.locator("#status")).to_contain_text("You preferred")
    expect(page.locator("#settings")).to_be_visible()
    page.click("#speak")  # neither has changed
    expect(page.locator("#speak")).to_be_enabled()
    assert len(voices["one"].calls) == 2


def test_by_keyboard_only(visit: Callable[..., Any]):
    page = visit()

    def tab_to(selector: str, *, key: str = "Tab") -> None:
        for _ in range(60):
            page.keyboard.press(key)
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            if page.evaluate("document.activeElement.matches('body')"):
                continue
            visible = outline != "none" or page.evaluate(
                "Boolean(document.activeElement.closest('.segments'))"
            )
            assert visible, page.evaluate("document.activeElement.outerHTML")
            if page.evaluate(f"document.activeElement.matches({selector!r})"):
                return
        raise AssertionError(f"{selector} is not reached")

    tab_to("#text")
    page.keyboard.press("Control+A")
    page.keyboard.type("one two three four" + " more" * 16)
    page.keyboard.press("Control+Enter")
    status(page, "of speech in")
    tab_to(".plot")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    tab_to(".word")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.textContent") == "three"
    page.keyboard.press("Enter")
    expect(page.locator("#play")).to_have_attribute("aria-label", "Pause")
    assert float(page.locator(".plot").get_attribute("aria-valuenow")) >= 1.0
    tab_to("#play")
    page.keyboard.press("Space")
    expect(page.locator("#play")).to_have_attribute("aria-label", "Play")
    tab_to("#reading > summary")
    page.keyboard.press("Enter")
    expect(page.locator(".read-word")).to_have_count(20)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Space")
    expect(page.locator("#play")).to_have_attribute("aria-label", "Pause")
    page.keyboard.press("Space")
    expect(page.locator("#play")).to_have_attribute("aria-label", "Play")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_layout_and_contrast(
    visit: Callable[..., Any], viewport: dict[str, int], scheme: str, tmp_path: Path
):
    page = visit(viewport, scheme)
    top = page.locator("#result").bounding_box()["y"]
    if viewport is NARROW:
        page.click("#settings > summary")
    page.locator(".more > summary").click()
    height = page.locator("#result").bounding_box()["height"]
    speak(page, "one two three four five six seven eight")
    assert page.locator("#result").bounding_box()["height"] == height
    if viewport is WIDE:
        assert page.locator("#result").bounding_box()["y"] == top
    for section in ("#reading", "#code", "#history"):
        page.click(f"{section} > summary")
    expect(page.locator(".read-word").first).to_be_visible()
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    assert page.evaluate(UNNAMED) == []
    assert page.evaluate(LOW_CONTRAST) == []


# Text whose contrast with what is behind it is below 4.5 (WCAG 2, AA); disabled controls are exempt.
LOW_CONTRAST = """() => {
  const parse = (c) => {
    const k = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    k.fillStyle = c; k.fillRect(0, 0, 1, 1); return [...k.getImageData(0, 0, 1, 1).data]; };
  const lum = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c[3] === 255) return c;
    }
    return [255, 255, 255, 255]; };
  const out = [];
  for (const e of document.querySelectorAll('body *')) {
    const hasText = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!(hasText || e.matches('input, textarea')) || !e.checkVisibility()) continue;
    if (e.closest(':disabled, noscript, .visually-hidden, .skip, option')) continue;
    const a = lum(parse(getComputedStyle(e).color)), b = lum(behind(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) out.push([e.outerHTML.slice(0, 100), ratio]);
  }
  return out; }"""
# Controls without a name for screen readers.
UNNAMED = """() => [...document.querySelectorAll('button, input, select, textarea')]
  .filter((e) => e.checkVisibility() && !e.getAttribute('aria-label') && !e.textContent.trim())
  .filter((e) => !e.labels?.length)
  .map((e) => e.outerHTML)"""


def test_errors_are_in_plain_words(visit: Callable[..., Any]):
    page = visit()
    speak(page, "one two")
    page.fill("#text", "bad")
    page.click("#speak")
    expect(page.locator("#error")).to_have_text("Cannot say that.")
    expect(page.locator(".word")).to_have_count(2)  # the last result stays
    page.fill("#text", "one bad")
    expect(page.locator("#error")).to_be_hidden()
    page.click("#speak")
    expect(page.locator("#error")).to_have_text("Cannot say that.")
    page.fill("#text", "  ")
    page.click("#speak")
    expect(page.locator("#error")).to_have_text("Write a text first.")
    page.select_option("#voice", "two")
    speak(page, "odd one")  # its warning comes in a header
    expect(page.locator("#warnings")).to_contain_text("Left out: ☃")
    speak(page, "one")
    expect(page.locator("#warnings")).to_be_hidden()
    page.fill("#text", "x" * 4097)
    page.click("#speak")
    expect(page.locator("#error")).to_contain_text("at most 4096")


def test_a_busy_server_is_tried_again(visit: Callable[..., Any], voices: dict[str, Singer]):
    page = visit(queue=1)
    other = page.context.new_page()
    other.goto(page.url)
    status(other, "Ready.")
    other.fill("#text", "wait")
    other.click("#speak")
    assert voices["one"].started.wait(30)
    page.fill("#text", "hello")
    page.click("#speak")
    status(page, "The server is busy; trying again in 2 s")
    voices["one"].gate.set()
    status(page, "of speech in")


def test_the_server_is_gone(visit: Callable[..., Any]):
    page = visit()
    page.route("**/v1/**", lambda route: route.abort())
    page.fill("#text", "hello")
    page.click("#speak")
    expect(page.locator("#error")).to_contain_text("cannot be reached")


def test_api_key(visit: Callable[..., Any]):
    page = visit(api_key="secret")
    expect(page.locator("#error")).to_have_text("This server needs an API key.")
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#error")).to_have_text("The server does not accept this API key.")
    page.fill("#key", "secret")
    page.keyboard.press("Enter")
    status(page, "Ready.")
    speak(page, "one")
    assert page.evaluate("JSON.stringify(localStorage)").find("secret") < 0
    page.click("#code > summary")
    expect(page.locator("#code-body")).to_contain_text("INTONA_API_KEY")
    expect(page.locator("#code-body")).not_to_contain_text("secret")
    page.reload()
    status(page, "Ready.")


def test_downloads(visit: Callable[..., Any], tmp_path: Path):
    page = visit()
    speak(page, "one two")
    for format in ("wav", "mp3", "flac"):
        page.select_option("#format", format)
        with page.expect_download() as download:
            page.click("#download")
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        samples, rate = soundfile.read(path)
        assert path.suffix == f".{format}" and len(samples) / rate == pytest.approx(1.0, abs=0.1)


def test_reference_from_a_file_and_from_the_microphone(
    visit: Callable[..., Any], voices: dict[str, Singer], tmp_path: Path
):
    tone = np.sin(2 * np.pi * 300 * np.arange(16_000) / 16_000).astype(np.float32)
    soundfile.write(tmp_path / "tone.ogg", 0.3 * tone, 16_000)
    (tmp_path / "text.wav").write_text("not a sound")
    page = visit()
    page.set_input_files("#reference-file", tmp_path / "text.wav")
    expect(page.locator(".recorder")).to_contain_text("not a sound file")
    page.set_input_files("#reference-file", tmp_path / "tone.ogg")
    expect(page.locator(".recorder")).to_contain_text("tone.ogg, 1.0 s")
    speak(page, "one")
    audio = voices["one"].calls[-1][1].reference
    assert audio is not None and audio.duration == pytest.approx(1.0, abs=0.05)  # type: ignore[union-attr]
    page.click("#code > summary")
    expect(page.locator("#code-body")).to_contain_text("-F reference=@reference.wav")
    page.get_by_role("button", name="Remove").click()
    speak(page, "two")
    assert voices["one"].calls[-1][1].reference is None
    page.get_by_role("button", name="Record").click()
    page.wait_for_timeout(1200)
    page.get_by_role("button", name="Stop recording").click()
    expect(page.locator(".recorder")).to_contain_text("From the microphone")
    speak(page, "three")
    assert voices["one"].calls[-1][1].reference.duration > 0.5  # type: ignore[union-attr]


def test_history_stays_in_the_browser(visit: Callable[..., Any]):
    page = visit()
    speak(page, "first text")
    page.fill("#option-rate", "1.5")
    speak(page, "second text")
    page.reload()
    status(page, "Ready.")
    expect(page.locator("#text")).to_have_value("second text")
    page.click("#history > summary")
    entries = page.locator(".entry")
    expect(entries).to_have_count(2)
    expect(entries.nth(0)).to_contain_text("rate 1.5")
    entries.nth(1).click()
    expect(page.locator("#text")).to_have_value("first text")
    expect(page.locator("#option-rate")).to_have_value("1")
    page.get_by_role("button", name="Remove: first text").click()
    expect(entries).to_have_count(1)
    page.click("#history-clear")
    expect(entries).to_have_count(0)
    assert page.evaluate("localStorage.getItem('intona.history')") is None


def test_theme(visit: Callable[..., Any]):
    page = visit()
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.select_option("#theme", "dark")
    assert page.evaluate(background) != light
    page.reload()
    assert page.evaluate(background) != light
    page.select_option("#theme", "")
    assert page.evaluate(background) == light


@pytest.mark.parametrize(
    ("language", "options"),
    [
        ("curl", {"rate": "1.5", "steps": "7"}),
        ("python", {"rate": "1.5"}),  # OpenAI's route has it
        ("python", {"rate": "1.5", "steps": "7"}),
    ],
    ids=str,
)
def test_the_request_as_code_runs(
    visit: Callable[..., Any],
    voices: dict[str, Singer],
    tmp_path: Path,
    language: str,
    options: dict[str, str],
):
    if language == "python":
        pytest.importorskip("openai")
    page = visit()
    page.fill("#text", 'It\'s "one" \\ two\nthree')
    page.locator(".more > summary").click()
    for name, value in options.items():
        page.fill(f"#option-{name}", value)
    page.click("#code > summary")
    code = page.locator("#code-body pre").nth(0 if language == "curl" else 1).inner_text()
    command = ["bash", "-ec", code] if language == "curl" else [sys.executable, "-c", code]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120, capture_output=True, env=dict(os.environ))
    samples, _ = soundfile.read(tmp_path / "speech.wav")
    (text, spoken) = voices["one"].calls[-1]
    assert text == 'It\'s "one" \\ two\nthree' and len(samples) > 0
    assert (spoken.rate, spoken.steps) == (
        float(options["rate"]) if "rate" in options else None,
        int(options["steps"]) if "steps" in options else None,
    )
