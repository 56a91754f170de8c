#!/usr/bin/env bash
# A Slurm of one node for tests, in an ordinary container: no systemd, no cgroups, no munge, no accounting.
#
#     scripts/slurm.sh start DIR      installs what is missing (apt, as root), starts it below DIR, waits until it is idle
#     scripts/slurm.sh stop DIR       ends its daemons and what they run
#     scripts/slurm.sh crash DIR      what a node does that loses its power: all its processes are gone at once
#     scripts/slurm.sh revive DIR     and comes back
#
# Its commands are found with SLURM_CONF=DIR/slurm.conf. Debian's slurm-wlm (22.05 in bookworm) has auth/none and
# cred/none among its plugins, so munged, which wants a key, a user and a socket folder, is installed with the package
# and not started. Everybody who reaches the ports is believed: this is for a machine of one's own, never for a cluster.
set -euo pipefail

fail() { echo "slurm.sh: $*" >&2; exit 1; }
# Nobody's fault: exit code 3.
missing() { echo "Slurm is not installed, and $*" >&2; exit 3; }
[ $# = 2 ] || { sed -n '4,7s/^# *//p' "$0" >&2; exit 2; }
mkdir -p "$2"
dir=$(cd "$2" && pwd)
# What a job around this script, or a profile, says to Slurm's commands is about another Slurm.
for name in $(compgen -e | grep -E '^(SBATCH|SLURM|SLURMD|SRUN|SALLOC|SQUEUE|SCANCEL|SCONTROL|SACCT|SINFO)_'); do
    unset "$name"
done
export SLURM_CONF=$dir/slurm.conf

install() {
    if command -v slurmctld > /dev/null && command -v slurmd > /dev/null && command -v sbatch > /dev/null; then return; fi
    [ "$(id -u)" = 0 ] || missing "installing it needs root. Install slurm-wlm, or run this as root."
    command -v apt-get > /dev/null || missing "there is no apt-get. Install slurmctld, slurmd and the client commands."
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update && apt-get install -y --no-install-recommends slurm-wlm; } > "$dir/install.log" 2>&1 ||
        missing "slurm-wlm cannot be installed: $(tail -n 3 "$dir/install.log")"
}

# Two ports that nobody listens on at present; a second Slurm on the same machine takes others.
ports() {
    local port found=()
    for port in $(shuf -i 20000-29999 -n 50); do
        (: < "/dev/tcp/127.0.0.1/$port") 2> /dev/null || found+=("$port")
        [ ${#found[@]} -lt 2 ] || break
    done
    echo "${found[@]}"
}

# The node is this machine. Times are short so that tests need not wait: a job put back into the queue begins after
# cred_expire seconds (120 by default), time limits have to do with KillWait.
configure() {
    local host user memory controller node
    host=$(hostname -s)
    user=$(id -un)
    memory=$(awk '/^MemAvailable/ { print int($2 / 1024 * 0.9) }' /proc/meminfo)
    read -r controller node <<< "$(ports)"
    mkdir -p "$dir/state" "$dir/spool"
    cat > "$dir/slurm.conf" << CONF
ClusterName=lottery
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$controller
SlurmdPort=$node
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/none
AuthInfo=cred_expire=5
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,batch_sched_delay=0,sched_interval=1,sched_min_interval=100000,nohold_on_prolog_fail
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
SlurmctldDebug=verbose
SlurmdDebug=verbose
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=8
MessageTimeout=5
BatchStartTimeout=2
KillWait=5
InactiveLimit=0
MinJobAge=300
MaxArraySize=1001
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$memory Gres=gpu:2 State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    # Two graphics cards as far as Slurm can tell: they are counted, handed out and named to jobs.
    cat > "$dir/gres.conf" << CONF
AutoDetect=off
Name=gpu File=/dev/null
Name=gpu File=/dev/zero
CONF
}

# In the foreground of a session of its own, so that this script may end.
daemon() {
    setsid "$(command -v "$1" || echo "/usr/sbin/$1")" -D "${@:2}" > "$dir/$1.out" 2>&1 < /dev/null &
}

wait_until() {
    local seconds=$1
    shift
    for _ in $(seq $((seconds * 5))); do
        if "$@" 2> /dev/null; then return 0; fi
        sleep 0.2
    done
    return 1
}
is_idle() { sinfo -h -o %T | grep -qx idle; }
is_up() { sinfo -h -o %T | grep -Eqx 'idle|mixed|allocated'; }
# A process that nobody has waited for yet, as in containers whose first process waits for none, has no command line.
is_gone() { [ -z "$(tr -d '\0' 2> /dev/null < "/proc/$1/cmdline")" ]; }

# The daemons of this folder alone, by the ids that they wrote, and only while the ids are still theirs.
id_of() {
    local id
    id=$(cat "$dir/$1.pid" 2> /dev/null) && [ "$(cat "/proc/$id/comm" 2> /dev/null)" = "$1" ] && echo "$id"
}

# A process and all below it.
tree() {
    local child
    echo "$1"
    for child in $(cat /proc/"$1"/task/*/children 2> /dev/null); do tree "$child"; done
}

# Whoever looks after a job is no child of slurmd's, and has its environment.
shepherds() {
    local id
    for id in /proc/[0-9]*; do
        if [ "$(cat "$id/comm" 2> /dev/null)" = slurmstepd ] &&
            tr '\0' '\n' 2> /dev/null < "$id/environ" | grep -qxF "SLURM_CONF=$SLURM_CONF"; then
            echo "${id#/proc/}"
        fi
    done
}

start_node() {
    daemon slurmd
    wait_until 30 is_up || fail "the node does not come up; see $dir/slurmd.log: $(tail -n 3 "$dir/slurmd.log" "$dir/slurmd.out" 2>&1)"
}

case $1 in
    start)
        install
        [ -z "$(id_of slurmctld)" ] || fail "there is one below $dir already; stop it first"
        configure
        daemon slurmctld -c
        wait_until 30 scontrol ping > /dev/null || fail "slurmctld does not answer; see $dir/slurmctld.log: $(tail -n 3 "$dir/slurmctld.log" "$dir/slurmctld.out" 2>&1)"
        start_node
        wait_until 30 is_idle || fail "the node is not idle: $(sinfo -R)"
        sinfo --version
        ;;
    stop)
        if id=$(id_of slurmctld); then
            # What runs is to end as Slurm ends it, for at most KillWait.
            for job in $(squeue -h -o %A 2> /dev/null | sort -u); do scancel "$job" 2> /dev/null || true; done
            wait_until 15 is_idle || true
        fi
        for name in slurmd slurmctld; do
            if id=$(id_of $name); then
                kill "$id"
                wait_until 15 is_gone "$id" || kill -9 "$id"
            fi
        done
        ;;
    crash)
        id=$(id_of slurmd) || fail "no slurmd runs below $dir"
        for shepherd in $(shepherds); do all="${all:-} $(tree "$shepherd")"; done
        # shellcheck disable=SC2086
        kill -9 "$id" ${all:-} 2> /dev/null || true
        ;;
    revive)
        start_node
        ;;
    *) fail "what is $1? start, stop, crash or revive" ;;
esac
