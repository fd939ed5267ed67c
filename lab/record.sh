#!/bin/sh
# Installs what the lab needs (Debian 12, root) and records every scenario again.
#   lab/record.sh [OUTPUT-DIRECTORY] [SCENARIO-PREFIX]...
# Traffic stays on loopback. A full run takes about 35 minutes on two cores. Scenarios named held-…, dev2-… and held2-… to held6-… are
# kept apart: `all` leaves them out, and only they need other releases' servers, which are then put into directories of their own.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-out}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- all

# Packages must not start their services: the lab runs its own copies with its own configuration.
need="nginx libnginx-mod-stream apache2 libapache2-mod-php8.2 libapache2-mod-security2 libapache2-mod-qos php8.2-fpm haproxy hitch gunicorn iptables openssl"
trixie=
more=
for name in "$@"; do
    case $name in held*|dev2*) trixie=/opt/cfray-lab-trixie; need="$need varnish caddy nodejs debootstrap" ;; esac
    case $name in
        dev2*) need="$need lighttpd uwsgi-core uwsgi-plugin-python3 libnginx-mod-http-lua libnginx-mod-http-modsecurity" ;;
        held2*) need="$need python3-uvicorn" ;;
        held3*|held4*|held6*) more=1 ;;
        held5*) more=1 need="$need python3-uvicorn" ;;
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
# release DIRECTORY NAME PACKAGES...: servers of another Debian release, in a directory of their own
release() {
    dir=$1 name=$2
    shift 2
    if [ ! -x "$dir/usr/sbin/policy-rc.d" ]; then
        script=
        [ -e "/usr/share/debootstrap/scripts/$name" ] || script=/usr/share/debootstrap/scripts/sid
        # shellcheck disable=SC2086  # nothing, or one word
        debootstrap --variant=minbase "$name" "$dir" http://deb.debian.org/debian $script
        printf '#!/bin/sh\nexit 101\n' >"$dir/usr/sbin/policy-rc.d"
        chmod +x "$dir/usr/sbin/policy-rc.d"
    fi
    if chroot "$dir" dpkg-query -W -f '${Status}\n' "$@" 2>&1 | grep -qv '^install ok installed'; then
        chroot "$dir" apt-get update
        DEBIAN_FRONTEND=noninteractive chroot "$dir" apt-get install -y --no-install-recommends "$@"
    fi
}
[ -z "$trixie" ] || release "$trixie" trixie \
    nginx libnginx-mod-stream apache2 libapache2-mod-php8.4 libapache2-mod-security2 php8.4-fpm haproxy tzdata media-types
[ -z "$more" ] || release /opt/cfray-lab-bullseye bullseye \
    nginx-core apache2 libapache2-mod-php7.4 libapache2-mod-security2 php7.4-fpm tzdata mime-support
[ -z "$more" ] || release /opt/cfray-lab-forky forky \
    nginx apache2 libapache2-mod-php8.4 libapache2-mod-security2 php8.4-fpm tzdata media-types

cargo build --manifest-path "$here/Cargo.toml"
ulimit -n 20000 2>/dev/null || true
ulimit -c 0
mkdir -p "$out"
exec "${CARGO_TARGET_DIR:-$here/target}/debug/lab" record --out "$out" --jobs "${JOBS:-4}" "$@"
