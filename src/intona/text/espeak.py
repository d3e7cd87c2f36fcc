"""espeak-ng in process through ctypes: text in, IPA phones out. No subprocess, no file, no work at import."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib
import importlib.util
import os
import threading
from collections.abc import Sequence

from intona.errors import UserError, nearest

INSTALL = "install it: apt-get install espeak-ng, or pip install espeakng_loader"
_LOCK = threading.RLock()  # the library has one current voice: one caller at a time
_SYNCHRONOUS, _DONT_EXIT, _UTF8, _IPA = 2, 0x8000, 1, 0x02
_SEPARATOR = "_"
MAX_CHARS = 400  # espeak-ng cuts clauses near 800 bytes: it never gets longer pieces


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


class Espeak:
    """The loaded library. Safe from several threads; `get()` returns the instance of the process."""

    def __init__(self) -> None:
        self.lib, data = _library()
        self.lib.espeak_Initialize.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int)
        self.lib.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self.lib.espeak_TextToPhonemes.argtypes = (
            ctypes.POINTER(ctypes.c_void_p),
            ctypes.c_int,
            ctypes.c_int,
        )
        self.lib.espeak_Info.restype = ctypes.c_char_p
        self.lib.espeak_Info.argtypes = (ctypes.c_void_p,)
        self.lib.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        self.lib.espeak_ListVoices.argtypes = (ctypes.c_void_p,)
        rate = self.lib.espeak_Initialize(_SYNCHRONOUS, 0, data, _DONT_EXIT)
        if rate <= 0:
            raise UserError("espeak-ng is installed, but its voice data cannot be read", hint=INSTALL)
        self.version = (self.lib.espeak_Info(None) or b"?").decode("ascii", "replace").split()[0]
        self._names = self._voices()
        self.languages = frozenset(self._names)
        self._language: str | None = None

    def _voices(self) -> dict[str, bytes]:
        """Name of the voice of each language code."""
        names: dict[str, bytes] = {}
        voices = self.lib.espeak_ListVoices(None)
        i = 0
        while voices[i]:
            voice = voices[i].contents
            # `languages` starts with a byte of priority and the voice's main code, which a zero ends.
            code = (voice.languages or b"")[1:].decode("ascii", "replace")
            if code:
                names.setdefault(code, voice.name or b"")
            i += 1
        return names

    def _select(self, language: str) -> None:
        if language == self._language:
            return
        known = language in self.languages or language.split("-")[0] in {
            code.split("-")[0] for code in self.languages
        }
        # Some voices are not selected by their code ("en-gb"), but by their name.
        for name in (language.encode("ascii", "replace"), self._names.get(language)):
            if known and name and self.lib.espeak_SetVoiceByName(name) == 0:
                self._language = language
                return
        raise UserError(
            f'espeak-ng {self.version} does not speak "{language}"', hint=nearest(language, self.languages)
        )

    def words(self, pieces: Sequence[str], language: str) -> list[list[tuple[str, ...]]]:
        """Phones of each piece (a word or a clause without punctuation, about MAX_CHARS characters).

        Returns one list per piece, with one tuple of IPA phones per group that espeak-ng separates by a
        space. Stress marks stand at the front of their phone; flags of a switch of language are removed.
        """
        out = []
        mode = _IPA | (ord(_SEPARATOR) << 8)
        with _LOCK:
            self._select(language)
            call = self.lib.espeak_TextToPhonemes
            for piece in pieces:
                clauses: list[bytes] = []
                for part in _cut(piece):
                    raw = ctypes.create_string_buffer(part.replace("\0", " ").encode("utf-8", "ignore"))
                    cursor = ctypes.c_void_p(ctypes.addressof(raw))
                    while cursor.value:
                        clauses.append(call(ctypes.byref(cursor), _UTF8, mode) or b"")
                out.append(_groups(b" ".join(clauses).decode("utf-8", "replace")))
        return out


def _cut(piece: str) -> list[str]:
    """A piece in parts where it is too long for espeak-ng: an endless word, since clauses come cut."""
    if len(piece) <= MAX_CHARS:
        return [piece]
    return [piece[i : i + 60] for i in range(0, len(piece), 60)]


def _groups(phonemes: str) -> list[tuple[str, ...]]:
    """`v l_ʲ_ˈe_s_u` as groups of phones, without flags of a switch of language: "(en)"."""
    if "(" in phonemes:
        kept, depth = [], 0
        for ch in phonemes:
            depth += ch == "("
            if depth == 0:
                kept.append(ch)
            depth -= ch == ")" and depth > 0
        phonemes = "".join(kept)
    groups = (tuple(p for p in g.split(_SEPARATOR) if p.strip("ˈˌ-")) for g in phonemes.split())
    return [g for g in groups if g]


def _library() -> tuple[ctypes.CDLL, bytes | None]:
    """The system's library, which knows where its data are; else that of the wheel `espeakng_loader`."""
    for name in (
        "libespeak-ng.so.1",
        "libespeak-ng.dylib",
        "libespeak-ng.dll",
        ctypes.util.find_library("espeak-ng"),
    ):
        if name:
            try:
                return ctypes.CDLL(name), None
            except OSError:
                continue
    if importlib.util.find_spec("espeakng_loader") is not None:
        loader = importlib.import_module("espeakng_loader")
        try:
            return ctypes.CDLL(str(loader.get_library_path())), os.fsencode(loader.get_data_path())
        except OSError as e:
            raise UserError(f"the library of espeakng_loader cannot be loaded ({e})", hint=INSTALL) from None
    raise UserError("espeak-ng is not installed", hint=INSTALL)


_ONE: list[Espeak] = []


def get() -> Espeak:
    """The instance of the process, loaded at the first call.

    Raises:
        UserError: espeak-ng is not installed, or its data are missing.
    """
    with _LOCK:
        if not _ONE:
            _ONE.append(Espeak())
        return _ONE[0]


def available() -> bool:
    """Whether espeak-ng is installed and its data can be read."""
    try:
        get()
    except UserError:
        return False
    return True
