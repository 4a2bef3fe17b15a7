#!/usr/bin/env bash
# Everything that must have run on a GPU, in one call: bash scripts/gpu_check.sh [STEP…]
# JSON goes to $OUT (./gpu_out by default). Wheels that the host lacks may lie in .wheels/.
set -u
OUT=${OUT:-gpu_out}
mkdir -p "$OUT"
if ls .wheels/*.whl >/dev/null 2>&1; then
    python3 -m pip install -q --no-index --no-deps --no-compile --upgrade --target /tmp/site .wheels/*.whl
    export PYTHONPATH=/tmp/site
fi
export PYTHONPATH=$PWD:${PYTHONPATH:-} PYTHONUNBUFFERED=1
BB="python3 -m backend_bench.cli"
steps=${*:-doctor smoke author opinfo tests}
failed=0
step() { echo "== $1"; shift; timeout -s INT -k 20 "${LIMIT:-300}" "$@"; local rc=$?; echo "-- rc $rc"; [ $rc -eq 0 ] || failed=1; }

for name in $steps; do
    case $name in
        doctor) step doctor $BB doctor --device cuda --json "$OUT/doctor.json" ;;
        smoke)
            for dtype in bfloat16 float32; do
                step "selfcheck smoke $dtype" $BB selfcheck --device cuda --dtype $dtype --json "$OUT/selfcheck-smoke-$dtype.json"
            done ;;
        author)
            for turn in first second; do
                python3 scripts/lay_out_author.py triton $turn /tmp/kernels-$turn
                for dtype in bfloat16 float32; do
                    step "triton $turn $dtype" $BB grade /tmp/kernels-$turn --device cuda --dtype $dtype \
                        --language triton --json "$OUT/triton-$turn-$dtype.json"
                done
            done
            failed=0 ;;  # the first turns are wrong on purpose; the JSON says which verdicts they got
        opinfo)
            for dtype in ${DTYPES:-bfloat16 float32}; do
                step "selfcheck opinfo $dtype" $BB selfcheck --suite opinfo --device cuda --dtype $dtype \
                    --json "$OUT/selfcheck-opinfo-$dtype.json"
            done ;;
        soak) step soak python3 benchmarks/soak.py --submissions "${SUBMISSIONS:-1000}" --in-flight 64 --device cuda --out "$OUT/soak.json" ;;
        tests) step tests python3 -m pytest -m gpu -p no:cacheprovider tests ;;
        *) echo "no such step: $name"; failed=1 ;;
    esac
done
$BB serve --stop
nvidia-smi --query-compute-apps=pid,used_memory --format=csv,noheader
exit $failed
