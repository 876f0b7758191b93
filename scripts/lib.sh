# Shared by the scripts in this folder; sourced, never run.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PYTHON=/usr/bin/python3  # Debian's own: its driver packages belong to it
JOBS=${JOBS:-$(nproc)}

# ccache keeps the sanitizer builds affordable, also for a second clone in another folder.
export CCACHE_BASEDIR=$ROOT CCACHE_NOHASHDIR=1

die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# configure FOLDER [cmake arguments]: clang-19, ninja, ccache. Costs nothing when nothing changed.
configure() {
  local folder=$1
  shift
  local launcher=()
  if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
  cmake -S "$ROOT" -B "$ROOT/$folder" -G Ninja -DCMAKE_CXX_COMPILER=clang++-19 "${launcher[@]}" "$@" >/dev/null
}
