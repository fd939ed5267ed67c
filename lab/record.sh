#!/bin/sh
# Installs what the lab needs (Debian 12, root) and records every scenario again.
#   lab/record.sh [OUTPUT-DIRECTORY] [SCENARIO-PREFIX]...
# Traffic stays on loopback. A full run takes about 35 minutes on two cores. Scenarios named held-…, dev2-… and held2-… are kept
# apart: `all` leaves them out, and only they need Debian 13's servers, which are then put into a directory of their own.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-out}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- all

# Packages must not start their services: the lab runs its own copies with its own configuration.
need="nginx libnginx-mod-stream apache2 libapache2-mod-php8.2 libapache2-mod-security2 libapache2-mod-qos php8.2-fpm haproxy hitch gunicorn iptables openssl"
trixie=
for name in "$@"; do
    case $name in held*|dev2*) trixie=/opt/cfray-lab-trixie; need="$need varnish caddy nodejs debootstrap" ;; esac
    case $name in
        dev2*) need="$need lighttpd uwsgi-core uwsgi-plugin-python3 libnginx-mod-http-lua libnginx-mod-http-modsecurity" ;;
        held2*) need="$need python3-uvicorn" ;;
    esac
done
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
if [ -n "$trixie" ] && [ ! -x "$trixie/usr/sbin/nginx" ]; then
    debootstrap --variant=minbase trixie "$trixie" http://deb.debian.org/debian
    printf '#!/bin/sh\nexit 101\n' >"$trixie/usr/sbin/policy-rc.d"
    chmod +x "$trixie/usr/sbin/policy-rc.d"
    DEBIAN_FRONTEND=noninteractive chroot "$trixie" apt-get install -y --no-install-recommends \
        nginx libnginx-mod-stream apache2 libapache2-mod-php8.4 libapache2-mod-security2 php8.4-fpm haproxy tzdata media-types
fi

cargo build --manifest-path "$here/Cargo.toml"
ulimit -n 20000 2>/dev/null || true
ulimit -c 0
mkdir -p "$out"
exec "${CARGO_TARGET_DIR:-$here/target}/debug/lab" record --out "$out" --jobs "${JOBS:-4}" "$@"
