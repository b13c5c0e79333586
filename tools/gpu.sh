#!/usr/bin/env bash
# On a host with an NVIDIA GPU: measure, tune, compare, in steps of under ten minutes that resume.
#
#   tools/gpu.sh [--dry-run] [--seconds N] [--state FOLDER] [--python FILE] [--chip cuda/sm_90] [STEP ...]
#
# Without steps all are done in order; one that is finished (FOLDER/STEP.done) is skipped, one that ran out of time goes
# on where it stopped. --seconds N: begin no step after N seconds in all (default 560), and let none run beyond them.
# --dry-run prints the commands. Clocks, power and modes are never set. Steps:
#   about      the board, driver and clocks, as found
#   first      cuDNN's plans for a handful of shapes at batch 16: where its int8 stands
#   verify     what is installed; one schedule, under emulation on this host's cores
#   versus     mmasched's default schedules against cuDNN on the handful
#   exact      the default schedule of every layer of ResNet-50, int8 and int4, verified bit by bit on the GPU
#   peaks      copy bandwidth and the rates of matrix instructions
#   fragments  single instructions on random operands, for the emulator
#   replay     the same in the emulator on this host's cores: what differs
#   few        tunes the handful, then mmasched against cuDNN on it again
#   tune-N     tunes ResNet-50 in int8 at batch N (16, 128, 1)
#   compare-N  mmasched against cuDNN at batch N (16, 128, 1)
#   cudnn      every plan of cuDNN for ResNet-50 at batch 16, 128 and 1
#   tune4-N    tunes ResNet-50 in int4 at batch N
#   peers-N    mmasched against all peers at batch N
#   table-I    a table of 1,000 measured configs of shape I (0 to 3), for research into searching
#   collect    writes the tables to docs/benchmarks.md and the records, compressed, to tuning_logs/<chip>/
#
# Ends with status 0 when all went well, 1 where a step failed, 2 for a mistake or without a GPU, 3 when time was short.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

dry=0 seconds=560 state=out/gpu python=python3 chip=""
steps=()
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"; exit 0 ;;
    --dry-run) dry=1; shift ;;
    --seconds | --state | --python | --chip)
      [ $# -ge 2 ] || { echo "error: $1 needs a value" >&2; exit 2; }
      declare "${1#--}=$2"; shift 2 ;;
    -*) echo "error: there is no option $1; see tools/gpu.sh --help" >&2; exit 2 ;;
    *) steps+=("$1"); shift ;;
  esac
done
case "$seconds" in '' | *[!0-9]*) echo "error: --seconds is $seconds: give a whole number" >&2; exit 2 ;; esac

all=(about first verify versus exact peaks fragments replay few tune-16 compare-16 cudnn tune4-16 tune-128 compare-128
  tune-1 compare-1 tune4-128 tune4-1 peers-16 peers-128 peers-1 table-0 table-1 table-2 table-3 collect)
[ ${#steps[@]} -gt 0 ] || steps=("${all[@]}")
for step in "${steps[@]}"; do
  case " ${all[*]} " in *" $step "*) ;; *) echo "error: there is no step $step; steps: ${all[*]}" >&2; exit 2 ;; esac
done

export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
started=$SECONDS
left() { echo $((seconds - (SECONDS - started))); }

# The target of the GPU at hand, such as cuda/sm_90, and the board's name.
board=""
find_chip() {
  [ -n "$chip" ] && return 0
  if [ "$dry" = 1 ]; then chip=cuda/sm_90; return 0; fi
  local code='from mmasched.compare.cuda.driver import Device
with Device() as device: print(f"cuda/sm_{device.capability} {device.name}")'
  local found
  if ! found=$("$python" -c "$code" 2>&1); then
    echo "error: no GPU can be used: $(echo "$found" | tail -n 1)" >&2
    exit 2
  fi
  chip=${found%% *} board=${found#* }
}

# Times of two boards must not meet in one folder, and a host may lend an H100 one day and an H200 the next.
keep_to_one_board() {
  [ -n "$board" ] || return 0
  if [ -e "$state/board" ] && [ "$(cat "$state/board")" != "$board" ]; then
    echo "error: $state holds results of $(cat "$state/board"), and this is $board: name another folder with --state" >&2
    exit 2
  fi
  echo "$board" > "$state/board"
}

# run COMMAND...: print it; unless dry, run it within the time left. 124 is the status of one that was stopped.
run() {
  printf '+ %s\n' "$(printf '%q ' "$@")"
  [ "$dry" = 1 ] && return 0
  local rest
  rest=$(left)
  [ "$rest" -gt 0 ] || return 124
  timeout --signal=INT --kill-after=20 "$rest" "$@"
}

mmasched() { run "$python" -m mmasched "$@"; }
log="$state/tune.jsonl"
jobs=$(nproc)
# The same four layers of ResNet-50, by number and by name.
layers=2,10,17,20
few=h56w56/i64o64/k3/p1,h28w28/i512o128/k1,h14w14/i256o256/k3/p1,h7w7/i512o2048/k1/residual
peers=cudnn,cutlass,metaschedule,triton,torch

# To stop in time to measure the finalists again, or to write down what there is.
less() { local rest=$(($(left) - $1)); echo $((rest > 10 ? rest : 10)); }

step_about() {
  run nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.max.sm,clocks.mem,power.draw,power.limit \
    --format=csv
}
step_first() { run "$python" tools/gpu_cudnn.py --batches 16 --layers "$layers" --out "$state/cudnn.jsonl" \
  --jobs 4 --limit-seconds "$(less 30)"; }
step_peaks() { run "$python" tools/gpu_peaks.py --out "$state/peaks.jsonl" --cubins "$state/cubins" --jobs "$jobs" \
  --limit-seconds "$(less 30)"; }
step_fragments() { run "$python" tools/gpu_fragments.py --cubins "$state/cubins" --jobs "$jobs" \
  --out "$state/fragments-${chip#cuda/}.npz"; }
step_replay() { run "$python" tools/gpu_replay.py "$state/fragments-${chip#cuda/}.npz"; }
step_verify() { mmasched doctor && mmasched verify h14w14/i64o64/k3/p1 --target "$chip"; }
# versus FILE: the handful against cuDNN, with the schedules that the log has by now.
versus() {
  local problem
  for problem in ${few//,/ }; do
    mmasched compare "n16/$problem/x8s/y8s" --target "$chip" --with cudnn --json "$1" "${schedules[@]}" || return $?
  done
}
step_versus() { versus "$state/versus.jsonl"; }
# tune BITS BATCH TRIALS SECONDS-TO-LEAVE [OPTION...]
tune() {
  run "$python" tools/gpu_tune.py --target "$chip" --bits "$1" --batch "$2" --trials "$3" --log "$log" \
    --seconds "$(less "$4")" "${@:5}"
}
step_exact() { tune 8 16 24 150 --defaults && tune 4 16 24 150 --defaults; }
step_few() {
  local status=0
  tune 8 16 400 300 --layers "$layers" || status=$?
  [ "$status" = 0 ] || [ "$status" = 3 ] || return "$status"
  find_schedules
  versus "$state/few.jsonl"
}
step_cudnn() { run "$python" tools/gpu_cudnn.py --out "$state/cudnn.jsonl" --jobs 4 \
  --limit-seconds "$(less 30)"; }
step_tune() { tune 8 "$1" 1200 150; }
step_tune4() { tune 4 "$1" 1200 150; }
step_table() {
  local shapes=(${few//,/ })
  mmasched tune "n16/${shapes[$1]}" --target "$chip" --strategy random --trials 1000 --seed "$1" \
    --log "$state/table-$1.jsonl"
}
# against PEERS BATCH NAME
against() { mmasched compare resnet50 --target "$chip" --batch "$2" --with "$1" \
  --json "$state/$3.jsonl" --plot "$state/$3.png" "${schedules[@]}"; }
step_compare() { against cudnn "$1" "compare-$1"; }
step_peers() { against "$peers" "$1" "peers-$1"; }
step_collect() { run "$python" tools/gpu_collect.py --state "$state" --chip "$chip"; }

# What a comparison takes schedules from: the log, once there is one.
find_schedules() {
  schedules=()
  if [ "$dry" = 1 ] || [ -e "$log" ]; then schedules=(--log "$log"); fi
}

find_chip
if [ "$dry" = 0 ]; then
  mkdir -p "$state"
  keep_to_one_board
fi
failed=0
for step in "${steps[@]}"; do
  if [ "$dry" = 0 ] && [ -e "$state/$step.done" ]; then
    echo "== $step: done before"
    continue
  fi
  if [ "$dry" = 0 ] && [ "$(left)" -lt 60 ]; then
    echo "== $step: not begun, $(left) seconds are left; run this again"
    exit 3
  fi
  echo "== $step"
  find_schedules
  status=0
  case "$step" in
    *-[0-9]*) "step_${step%-*}" "${step##*-}" || status=$? ;;
    *) "step_$step" || status=$? ;;
  esac
  case "$status" in
    0)
      # A script that was told to stop early ends well: it is done once a run of it had time to spare.
      if [ "$dry" = 0 ] && [ "$(left)" -gt 30 ]; then touch "$state/$step.done"; fi ;;
    3 | 124 | 130 | 137) echo "== $step: out of time; run this again to go on"; exit 3 ;;
    *) echo "== $step: failed with status $status; the next ones go on"; failed=1 ;;
  esac
done
exit "$failed"
