
element=${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}
say() { echo "$(date '+%F %T') element $element on ${SLURMD_NODENAME:-$HOSTNAME}: $*"; }

# USR1: the time limit is near. TERM: Slurm or `lottery sweep cancel` ends the element; then this script does not requeue
# it. The worker runs in the background because bash handles a signal only after a foreground child has ended.
stop= worker= status=4 devices=()
trap 'stop=${stop:-time}; [ -z "$worker" ] || kill -USR1 "$worker" 2> /dev/null' USR1
trap 'stop=ended; [ -z "$worker" ] || kill -TERM "$worker" 2> /dev/null' TERM INT

if [ -e "$cancelled" ]; then
    say "the sweep was cancelled"
    exit 0
fi
say "starts${SLURM_RESTART_COUNT:+ (attempt $((SLURM_RESTART_COUNT + 1)))}"

# SETUP
set +eu
if [ -n "$gpus" ] && [ "${CUDA_VISIBLE_DEVICES:-NoDevFiles}" = NoDevFiles ]; then
    say "error: GPUs were requested ($gpus), but Slurm lists none in CUDA_VISIBLE_DEVICES. The likely cause is this" \
        "node's gres.conf: its lines Name=gpu need File=/dev/nvidia..., and slurm.conf needs GresTypes=gpu." >&2
    exit 2
fi

arguments=(worker "$sweep" --store "$store" "${worker_args[@]}")
if [ -n "$gpus" ]; then
    arguments+=(--gpus "$CUDA_VISIBLE_DEVICES")
    IFS=, read -ra devices <<< "$CUDA_VISIBLE_DEVICES"
fi
jobs=${jobs:-${#devices[@]}}
jobs=$((jobs > 1 ? jobs : 1))
cpus=${SLURM_CPUS_PER_TASK:-${SLURM_CPUS_ON_NODE:-1}}
arguments+=(--jobs "$jobs" --threads "$((cpus > jobs ? cpus / jobs : 1))")
# The time until the end of this element, minus what stopping takes. Not every version of Slurm gives the end.
left=
if [ -n "${SLURM_JOB_END_TIME:-}" ]; then
    left=$((SLURM_JOB_END_TIME - $(date +%s) - stop_before))
elif [ -n "$time_limit" ]; then
    left=$((time_limit - SECONDS - stop_before))
fi
if [ -n "$left" ]; then
    arguments+=(--time-limit "$((left > 1 ? left : 1))")
fi

if [ -z "$stop" ]; then
    "$program" "${arguments[@]}" < /dev/null &
    worker=$!
    # A signal may have come just before the worker started.
    case $stop in
        time) kill -USR1 "$worker" 2> /dev/null ;;
        ended) kill -TERM "$worker" 2> /dev/null ;;
    esac
    # Without scancel, a cancellation only creates this file.
    (
        trap 'kill "$nap" 2> /dev/null; exit' TERM
        until [ -e "$cancelled" ]; do
            sleep 5 &
            nap=$!
            wait "$nap"
        done
        kill -TERM "$$"
    ) &
    watcher=$!
    # A signal ends `wait`, not the worker.
    while :; do
        wait "$worker"
        kill -0 "$worker" 2> /dev/null || break
    done
    wait "$worker"
    status=$?
    kill "$watcher" 2> /dev/null
fi

# 138: the signal came before the worker's handler was installed.
if [ "$status" = 138 ] && [ "$stop" = time ]; then
    status=4
fi
if [ "$status" = 4 ] && [ "$stop" != ended ] && [ ! -e "$cancelled" ]; then
    say "work is left${stop:+ at the time limit}: requeued"
    scontrol requeue "$element" ||
        say "error: Slurm refuses to requeue it; submit the sweep again to continue" >&2
fi
say "ends with exit code $status"
exit "$status"
