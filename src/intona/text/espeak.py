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

MEND = "install it: apt-get install espeak-ng, or pip install espeakng_loader"
_LOCK = threading.RLock()  # the library holds one global voice: one caller at a time
_SYNCHRONOUS, _DONT_EXIT, _UTF8, _IPA = 2, 0x8000, 1, 0x02
_SEPARATOR = "_"
MAX_CHARS = 400  # espeak cuts clauses near 800 bytes: longer pieces are never handed over


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
    """One loaded library; `get()` gives the process-wide instance."""

    def __init__(self) -> None:
        self.lib, data = _find()
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
            raise UserError("espeak-ng found, but its voice data cannot be read", hint=MEND)
        self.version = (self.lib.espeak_Info(None) or b"?").decode("ascii", "replace").split()[0]
        self.languages = frozenset(self._voices())
        self._language: str | None = None

    def _voices(self) -> list[str]:
        out: list[str] = []
        voices = self.lib.espeak_ListVoices(None)
        i = 0
        while voices[i]:
            # `languages` is a priority byte and a zero-ended code; the first code is the voice's own.
            code = voices[i].contents.languages or b""
            out.append(code[1:].decode("ascii", "replace"))
            i += 1
        return [v for v in out if v]

    def _select(self, language: str) -> None:
        if language == self._language:
            return
        if language not in self.languages and language.split("-")[0] not in {
            v.split("-")[0] for v in self.languages
        }:
            raise UserError(
                f'espeak-ng {self.version} does not speak "{language}"',
                hint=nearest(language, self.languages),
            )
        if self.lib.espeak_SetVoiceByName(language.encode("ascii", "replace")) != 0:
            raise UserError(
                f'espeak-ng {self.version} does not speak "{language}"',
                hint=nearest(language, self.languages),
            )
        self._language = language

    def words(self, pieces: Sequence[str], language: str) -> list[list[tuple[str, ...]]]:
        """Phones of each piece (a word or a clause without punctuation, about MAX_CHARS characters).

        Returns one list a piece, holding one tuple of IPA phones for each group that espeak separates by
        a space; stress marks stand at the front of their phone, language-switch flags are removed.
        """
        out = []
        mode = _IPA | (ord(_SEPARATOR) << 8)
        with _LOCK:
            self._select(language)
            call = self.lib.espeak_TextToPhonemes
            for piece in pieces:
                heard: list[bytes] = []
                for part in _cut(piece):
                    raw = ctypes.create_string_buffer(part.replace("\0", " ").encode("utf-8", "ignore"))
                    cursor = ctypes.c_void_p(ctypes.addressof(raw))
                    while cursor.value:
                        heard.append(call(ctypes.byref(cursor), _UTF8, mode) or b"")
                out.append(_groups(b" ".join(heard).decode("utf-8", "replace")))
        return out


def _cut(piece: str) -> list[str]:
    """A piece too long for espeak's buffers in parts; one word can be that long, a clause is cut before."""
    if len(piece) <= MAX_CHARS:
        return [piece]
    return [piece[i : i + 60] for i in range(0, len(piece), 60)]


def _groups(heard: str) -> list[tuple[str, ...]]:
    """`v l_ʲ_ˈe_s_u` as groups of phones; "(en)" flags of a language switch fall away."""
    if "(" in heard:
        kept, depth = [], 0
        for ch in heard:
            depth += ch == "("
            if depth == 0:
                kept.append(ch)
            depth -= ch == ")" and depth > 0
        heard = "".join(kept)
    groups = (tuple(p for p in g.split(_SEPARATOR) if p.strip("ˈˌ-")) for g in heard.split())
    return [g for g in groups if g]


def _find() -> tuple[ctypes.CDLL, bytes | None]:
    """The system library first (its data lie beside it), else the wheel `espeakng_loader`."""
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
            raise UserError(f"the library of espeakng_loader cannot be loaded ({e})", hint=MEND) from None
    raise UserError("espeak-ng is not installed", hint=MEND)


_ONE: list[Espeak] = []


def get() -> Espeak:
    """The process-wide instance, loaded at the first call.

    Raises:
        UserError: espeak-ng is not installed, or its data are missing.
    """
    with _LOCK:
        if not _ONE:
            _ONE.append(Espeak())
        return _ONE[0]


def available() -> bool:
    try:
        get()
    except UserError:
        return False
    return True
