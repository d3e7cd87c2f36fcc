"""Seeds of random numbers from names and numbers."""

from __future__ import annotations

import hashlib


def derive_seed(*keys: object) -> int:
    """A 63-bit seed from any keys, the same in every process and version (unlike hash())."""
    digest = hashlib.blake2b("\x1f".join(map(str, keys)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
