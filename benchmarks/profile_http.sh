#!/bin/sh
# Where the HTTP proxy spends its time under the load of the benchmark: the top of a profile.
# Usage: sh benchmarks/profile_http.sh [seconds] [python]     (wrk, nginx and py-spy; perf where it is installed)
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-5}
python=${2:-.venv/bin/python}
exec "$python" -m benchmarks.profile_http "$seconds"
