#!/bin/sh
# Installs what the lab needs (Debian 12, root) and records every scenario again.
#   lab/record.sh [OUTPUT-DIRECTORY] [SCENARIO-PREFIX]...
# Only loopback addresses are used. A full run takes about 15 minutes on two cores.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-out}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- all

# Packages must not start their services: the lab runs its own copies with its own configuration.
need="nginx apache2 libapache2-mod-php8.2 libapache2-mod-security2 php8.2-fpm haproxy hitch openssl"
missing=
for p in $need; do
    dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' || missing="$missing $p"
done
if [ -n "$missing" ]; then
    policy=/usr/sbin/policy-rc.d
    [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod +x "$policy"; ours=1; }
    apt-get update
    # shellcheck disable=SC2086  # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
    [ -z "${ours:-}" ] || rm -f "$policy"
fi

cargo build --manifest-path "$here/Cargo.toml"
ulimit -n 20000 2>/dev/null || true
ulimit -c 0
mkdir -p "$out"
exec "${CARGO_TARGET_DIR:-$here/target}/debug/lab" record --out "$out" --jobs "${JOBS:-4}" "$@"
