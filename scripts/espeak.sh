#!/bin/sh
# Make sure that the espeak-ng library is there: found, installed (Debian and root), or a line that says how.
set -u
python=${1:-python3}
have() { "$python" - <<'PY'
import ctypes.util, importlib.util, sys
sys.exit(ctypes.util.find_library("espeak-ng") is None and importlib.util.find_spec("espeakng_loader") is None)
PY
}
have && exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "installing espeak-ng"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends espeak-ng >/dev/null
    have && exit 0
fi
echo "espeak-ng (text to phonemes) is missing. Install it, then run make again:" >&2
echo "  Debian, Ubuntu: sudo apt-get install espeak-ng    Fedora: sudo dnf install espeak-ng" >&2
echo "  macOS: brew install espeak-ng                     elsewhere: $python -m pip install espeakng-loader" >&2
exit 1
