#!/bin/sh
# Installs berth from this directory, for distributions without a package: `./install.sh`. `--remove` removes it, which
# drains a running instance; `--purge` also removes its config and state. DESTDIR is a root directory other than /.
set -eu
umask 022
cd "$(dirname "$0")"
root=${DESTDIR:-}
action=${1:-install}
case $action in
install | --remove | --purge) ;;
*)
    sed -n '2,3s/^# //p' install.sh >&2
    exit 2
    ;;
esac
if [ -z "$root" ] && [ "$(id -u)" != 0 ]; then
    echo "install.sh: must be run as root" >&2
    exit 1
fi
if { dpkg-query -S "$root/usr/bin/berth" || rpm -qf "$root/usr/bin/berth"; } >/dev/null 2>&1; then
    echo "install.sh: $root/usr/bin/berth belongs to a package; use the package manager" >&2
    exit 1
fi

# systemd of the target root directory; it runs only if the target is this machine.
running=
[ -n "$root" ] || [ ! -d /run/systemd/system ] || running=yes
unit() { ! command -v systemctl >/dev/null || systemctl --quiet --root="$root/" "$@" berth.service; }
active() { [ -n "$running" ] && systemctl --quiet is-active berth.service; }

if [ "$action" = install ]; then
    if [ -z "$root" ] && ! usr/bin/berth --version >/dev/null 2>&1; then
        echo "install.sh: this tarball is for another architecture than $(uname -m)" >&2
        exit 1
    fi
    first=yes
    [ ! -e "$root/usr/bin/berth" ] || first=
    find usr -type f | while read -r file; do
        # Written to a new file and then renamed: a running program cannot be overwritten.
        mkdir -p "$root/${file%/*}"
        cp "$file" "$root/$file.berth-new"
        mv -f "$root/$file.berth-new" "$root/$file"
    done
    mkdir -p "$root/etc/berth"
    [ -e "$root/etc/berth/berth.toml" ] || cp etc/berth/berth.toml "$root/etc/berth/berth.toml"
    # Enabled at the first installation, later unchanged; never started.
    [ -z "$first" ] || unit enable
    [ -z "$running" ] || systemctl daemon-reload
    if active; then
        berth handover || echo "install.sh: the running agent was not handed over, see above; nothing was stopped" >&2
    fi
    exit 0
fi

if active; then
    echo "berth: taking this instance out of traffic and stopping its app; that takes minutes while clients are connected"
    systemctl stop berth.service
    systemctl stop berth-drain.service
fi
[ ! -e "$root/usr/lib/systemd/system/berth.service" ] || unit disable
find usr -type f | while read -r file; do
    rm -f "$root/$file"
done
# Every folder that the archive has below the documentation, the deepest first.
find usr/share/doc/berth -depth -type d | while read -r folder; do
    rmdir "$root/$folder" 2>/dev/null || true
done
[ -z "$running" ] || systemctl daemon-reload
if [ "$action" = --purge ]; then
    rm -rf "$root/etc/berth" "$root/var/lib/berth" "$root/run/berth"
fi
