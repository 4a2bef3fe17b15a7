#!/usr/bin/env bash
# Everything that must have run on a GPU, in one call: bash scripts/gpu_check.sh [STEP…]
# JSON goes to $OUT (./gpu_out by default). LIMIT: seconds a step; DTYPES; REPETITIONS; AT_ONCE; COMMIT where there is no repository.
# Wheels that the host lacks may lie in .wheels/. Step beside: BACKENDBENCH, a checkout of
# BackendBench; BACKENDBENCH_COMMIT, where that is no repository; KERNELS.
set -u
OUT=${OUT:-gpu_out}
mkdir -p "$OUT"
if ls .wheels/*.whl >/dev/null 2>&1; then
    site=/tmp/bb-wheels/site-packages  # the sandbox shows folders of this name to workers
    python3 -m pip install -q --no-index --no-deps --no-compile --upgrade --target $site .wheels/*.whl
    # A .pth file names these, and counts only in a folder that the interpreter knows by itself; the second is of 4.3.
    export PYTHONPATH=$site:$site/nvidia_cutlass_dsl/dsl_packages:$site/nvidia_cutlass_dsl/python_packages
fi
export PYTHONPATH=$PWD:${PYTHONPATH:-} PYTHONUNBUFFERED=1
BB="python3 -m backend_bench.cli"
PY="python3 benchmarks"
steps=${*:-doctor tests author model smoke opinfo torchbench precision load latency stream same soak beside}
failed=""
step() {
    local name=$1 begun=$SECONDS
    shift
    echo "== $name"
    timeout -s INT -k 20 "${LIMIT:-300}" "$@"
    local rc=$?
    echo "-- rc $rc after $((SECONDS - begun)) s"
    [ $rc -eq 0 ] || failed="$failed, $name"
}

for name in $steps; do
    case $name in
        doctor) step doctor $BB doctor --device cuda --json "$OUT/doctor.json" ;;
        # The other tests want packages of the client's side, which a GPU host need not have.
        tests) step tests python3 -m pytest -m gpu -p no:cacheprovider tests/test_corpus.py tests/judge ;;
        author)
            kept=$failed
            for turn in first second; do
                python3 scripts/lay_out_author.py triton "$([ $turn = first ] && echo 1 || echo 2)" /tmp/kernels-$turn
                for dtype in ${DTYPES:-bfloat16 float32}; do
                    step "triton $turn $dtype" $BB grade /tmp/kernels-$turn --device cuda --dtype "$dtype" \
                        --language triton --json "$OUT/triton-$turn-$dtype.json"
                    [ $turn = second ] || failed=$kept # wrong on purpose; the JSON says which verdicts they got
                done
            done ;;
        languages) step languages python3 -m pytest -m gpu -p no:cacheprovider -rs tests/languages ;;
        inductor)
            for dtype in ${DTYPES:-bfloat16 float32}; do
                LIMIT=500 step "inductor writes $dtype" python3 scripts/lay_out_author.py inductor 1 \
                    "/tmp/inductor-$dtype" --device cuda --dtype "$dtype"
                step "inductor $dtype" $BB grade "/tmp/inductor-$dtype" --device cuda --dtype "$dtype" \
                    --language triton --json "$OUT/inductor-$dtype.json"
            done ;;
        smoke | opinfo | torchbench)
            for dtype in ${DTYPES:-bfloat16 float32}; do
                keep=()
                [ "$name" = torchbench ] || keep=(--dtype "$dtype")
                step "selfcheck $name $dtype" $BB selfcheck --suite "$name" --device cuda "${keep[@]}" \
                    --json "$OUT/selfcheck-$name-$dtype.json"
                [ "$name" = torchbench ] && break # keeps its recorded dtypes
            done ;;
        model)
            python3 scripts/lay_out_author.py triton 2 /tmp/kernels-second
            for dtype in ${DTYPES:-bfloat16 float32}; do
                PYTHONPATH=$PWD/benchmarks:$PYTHONPATH step "model $dtype" $BB check-model ten_operators:build /tmp/kernels-second \
                    --device cuda --dtype "$dtype" --json "$OUT/model-$dtype.json"
            done ;;
        # What has come in by then counts: a step that is stopped at its limit leaves nothing.
        precision) step precision $PY/precision.py --repetitions "${REPETITIONS:-20}" --seconds $((${LIMIT:-300} - 60)) \
            --json "$OUT/precision.json" ;;
        load) step "precision under load" $PY/precision.py --load --repetitions "${REPETITIONS:-20}" \
            --seconds $((${LIMIT:-300} - 60)) --json "$OUT/precision-load.json" ;;
        latency) step latency $PY/throughput.py latency --json "$OUT/latency.json" ;;
        stream)
            step stream $PY/throughput.py stream --json "$OUT/stream.json"
            step "stream with times" $PY/throughput.py stream --with-performance --suite smoke \
                --seconds $((${LIMIT:-300} - 90)) --json "$OUT/stream-times.json" ;;
        same) # one after the other a kernel takes 3 s
            LIMIT=${LIMIT:-600} step "same under load" $PY/same_under_load.py --at-once "${AT_ONCE:-64}" --json "$OUT/same.json" ;;
        soak) step soak $PY/soak.py --device cuda --submissions "${SUBMISSIONS:-1000}" --in-flight 64 --json "$OUT/soak.json" ;;
        beside)
            if [ -z "${BACKENDBENCH:-}" ]; then
                echo "== beside"
                echo "-- skipped: BACKENDBENCH names no checkout of BackendBench"
            else
                LIMIT=${LIMIT:-580} step beside $PY/beside_backendbench.py --checkout "$BACKENDBENCH" \
                    ${BACKENDBENCH_COMMIT:+--checkout-commit "$BACKENDBENCH_COMMIT"} --kernels "${KERNELS:-5}" --json "$OUT/beside.json"
            fi ;;
        *) echo "no such step: $name"; failed="$failed, $name" ;;
    esac
done
$BB serve --stop
nvidia-smi --query-compute-apps=pid,used_memory --format=csv,noheader
[ -z "$failed" ] || { echo "failed: ${failed#, }"; exit 1; }
