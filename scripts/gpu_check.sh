#!/usr/bin/env bash
# What only a GPU can show, in ten minutes: the GPU tests, and seconds of audio per second and memory in training
# and speech at paper size. Everything is written to one folder; a part that fails or runs out of its time does
# not stop the others.
#
#   scripts/gpu_check.sh [FOLDER]         on a machine with a GPU; the folder is $OUT, or gpu_check
#   scripts/gpu_check.sh --toy [FOLDER]   the same at toy size on a CPU, in minutes if it is idle (or INTONA_TOY=1)
#   scripts/gpu_check.sh --wheels         before: fetch into .whl/ what a machine without a network may lack
#
# The machine needs python3 with torch; what else is missing comes from .whl/. The models ru-en, vocoder-draft and
# meld-ru (30 MB) are enough: tests of a model that is not there are skipped.
set -uo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
TOTAL=${GPU_CHECK_SECONDS:-580}
TAG=${GPU_CHECK_PYTHON:-3.12}
WHEELS=(soundfile cffi pycparser soxr tyro docstring-parser typeguard num2words ru-normalizr eng-to-ipa phonenumberslite
    roman pymorphy3 pymorphy3-dicts-ru dawg2-python razdel defusedxml beartype fastapi starlette annotated-types
    pydantic pydantic-core uvicorn python-multipart httpx2 httpcore2 truststore monotonic-alignment-search)

if [[ ${1:-} == --wheels ]]; then
    mkdir -p .whl
    platforms=()
    for p in manylinux_2_{28,27,24,17,12,5} manylinux2014 manylinux1; do platforms+=(--platform "${p}_x86_64"); done
    for name in "${WHEELS[@]}"; do
        "$PYTHON" -m pip download -q --no-deps --only-binary=:all: --python-version "$TAG" --implementation cp \
            "${platforms[@]}" -d .whl "$name" || echo "no wheel of $name: the check goes on without it" >&2
    done
    du -sh .whl
    exit 0
fi

TOY=${INTONA_TOY:-0}
if [[ ${1:-} == --toy ]]; then TOY=1; shift; fi
OUT=$(mkdir -p "${1:-${OUT:-gpu_check}}" && cd "${1:-${OUT:-gpu_check}}" && pwd)
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
SITE=$WORK/site
mkdir -p "$SITE"
export PYTHONPATH=$SITE:$PWD/src PYTHONUNBUFFERED=1 OMP_WAIT_POLICY=passive HF_HUB_OFFLINE=1
if ((TOY)); then
    DEVICE=cpu SIZE=toy COPIES=1 SECONDS_EACH=0.5 LIMIT=60 MODES="fp32 bf16" MINUTES=0.05
    TOTAL=${GPU_CHECK_SECONDS:-1800} FACTOR=${GPU_CHECK_FACTOR:-4}
else
    DEVICE=cuda SIZE=paper COPIES=68 SECONDS_EACH=2 LIMIT=40 MODES="fp32 bf16" MINUTES=0.3 FACTOR=1
fi
LOG=$OUT/log.txt SUMMARY=$OUT/summary.txt RATES=$OUT/rates.jsonl
: >"$LOG" >"$SUMMARY" >"$RATES"

# part NAME SECONDS COMMAND…: run a part; its output goes to the log, and one line to the summary.
part() {
    local name=$1 limit=$(($2 * FACTOR)) left=$((TOTAL - SECONDS)) began=$SECONDS code
    shift 2
    if ((left < 5)); then
        echo "$name: not run, no time is left" | tee -a "$SUMMARY"
        return
    fi
    echo "=== $name: $*" >>"$LOG"
    timeout -k 10 "$((limit < left ? limit : left))" "$@" >>"$LOG" 2>&1
    code=$?
    case $code in
    0) code=done ;;
    124 | 137) code="stopped at its limit" ;;
    *) code="failed ($code)" ;;
    esac
    echo "$name: $code, $((SECONDS - began)) s" | tee -a "$SUMMARY"
}

# Wheels that are missing here, and the table of parts (entry points) that an installed intona would have.
install_site() {
    local wheels
    wheels=$("$PYTHON" - <<'PY'
import importlib.metadata, pathlib

installed = {d.metadata["Name"].lower().replace("-", "_").replace(".", "_") for d in importlib.metadata.distributions()}
for wheel in sorted(pathlib.Path(".whl").glob("*.whl")):
    if wheel.name.split("-")[0].lower().replace(".", "_") not in installed:
        print(wheel)
PY
    )
    if [[ -n $wheels ]]; then
        # shellcheck disable=SC2086
        "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --target "$SITE" $wheels
    fi
    "$PYTHON" - "$SITE" <<'PY'
import pathlib, sys, tomllib

facts = tomllib.loads(pathlib.Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
folder = pathlib.Path(sys.argv[1]) / "intona-0.dist-info"
folder.mkdir(parents=True)
(folder / "METADATA").write_text("Metadata-Version: 2.1\nName: intona\nVersion: 0\n")
lines = []
for group, parts in facts["entry-points"].items():
    lines += [f"[{group}]", *(f"{name} = {target}" for name, target in parts.items())]
(folder / "entry_points.txt").write_text("\n".join(lines) + "\n")
PY
}

machine() {
    "$PYTHON" - <<'PY'
import importlib, platform, sys, torch

print(platform.processor() or platform.machine(), sys.version.split()[0], "torch", torch.__version__)
if torch.cuda.is_available():
    facts = torch.cuda.get_device_properties(0)
    print(facts.name, f"{facts.total_memory / 2**30:.0f} GiB, {facts.multi_processor_count} multiprocessors")
missing = []
for name in "soundfile soxr tyro num2words pymorphy3 razdel jaxtyping lightning safetensors beartype pytest".split():
    try:
        importlib.import_module(name)
    except ImportError as e:
        missing.append(f"{name} ({e})")
print("missing:", ", ".join(missing) or "nothing")
sys.exit(bool(missing))
PY
    command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv
    return 0
}

bench() { # bench WHAT ARGUMENT…
    local what=$1
    shift
    "$PYTHON" benchmarks/devices.py "$what" "$WORK" --device "$DEVICE" --size "$SIZE" --seconds "$SECONDS_EACH" \
        --limit "$((LIMIT * FACTOR))" --output "$RATES" "$@"
}

train() { # train STAGE FOLDER ARGUMENT…
    local stage=$1 run=$2
    shift 2
    "$PYTHON" -m intona train "$stage" --size "$SIZE" --data "$WORK/data" --output "$WORK/runs/$run" \
        --limit-minutes "$MINUTES" --loop.log-every 5 "$@"
    local code=$?
    sed "s/^{/{\"stage\": \"$stage\", /" "$WORK/runs/$run/metrics.jsonl" >>"$OUT/curriculum.jsonl"
    return $code
}

# The prosody curriculum, each stage for $MINUTES: as far as it gets.
curriculum() {
    local runs=$WORK/runs
    : >"$OUT/curriculum.jsonl"
    train prosody.mlm mlm &&
        train prosody.contrastive contrastive --init "$runs/mlm" --speaker none &&
        train prosody.refine refine --init "$runs/contrastive" --speaker none &&
        train prosody.gradtts gradtts --encoder "$runs/refine"
}

tests() {
    local marks="gpu" more=()
    if ((TOY)); then more=(--collect-only -q); fi
    "$PYTHON" -m pytest -q -m "$marks" -p no:cacheprovider tests/devices/test_gpu.py "${more[@]}"
}

export -f install_site machine bench train curriculum tests
export PYTHON SITE WORK OUT TOY DEVICE SIZE SECONDS_EACH LIMIT FACTOR MINUTES RATES
run() { part "$1" "$2" bash -c "${*:3}"; }

run "setup" 40 install_site
run "machine" 40 machine
part "corpus" 60 "$PYTHON" benchmarks/devices.py corpus "$WORK" --copies "$COPIES"
run "tests" 120 tests
run "training, prosody" 80 bench train --modes $MODES --stages prosody.{gradtts,mlm,contrastive,refine}
run "training, ditto and meld" 80 bench train --modes $MODES --stages prosody.{ditto,melvae} meld.{tts,stt,joint}
run "speech" 60 bench speak --modes $MODES
run "curriculum" 125 curriculum
run "voices" 50 bench voices
run "training, vocoders and restyle" 70 bench train --modes $MODES \
    --stages vocoder.{vocos,source_filter} restyle.{style,bridge,palette,posterior,decoder}
# Compiling takes longest, so it comes last: the stages in this order, as far as the time allows.
SPOKEN="prosody.gradtts prosody.ditto meld.tts"
COMPILED="$SPOKEN prosody.melvae prosody.mlm prosody.contrastive meld.joint restyle.bridge vocoder.vocos
    vocoder.source_filter restyle.decoder prosody.refine meld.stt restyle.palette restyle.posterior restyle.style"
if ((TOY)); then SPOKEN=prosody.gradtts COMPILED=prosody.gradtts; fi
run "compiled speech" 60 bench speak --modes compiled --stages $SPOKEN
run "compiled" "$TOTAL" bench train --modes compiled --stages $COMPILED
times >"$WORK/times" # its last line is that of all parts
cores=$(awk 'END { for (i = 1; i <= 2; i++) { split($i, t, "[ms]"); s += 60 * t[1] + t[2] }; print int(s) }' "$WORK/times")
echo "$SECONDS s in all, $cores s of processor time" | tee -a "$SUMMARY"
echo "$OUT has summary.txt, rates.jsonl, curriculum.jsonl, log.txt"
