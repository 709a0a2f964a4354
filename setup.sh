#!/usr/bin/env bash
# Sets everything up, once: a virtual environment in .venv, and a broker where there is none.
#
#     ./setup.sh [test|dev|site|browser]
#
# A second call finds that there is nothing to do, and takes a moment.
set -euo pipefail
cd "$(dirname "$0")"

extra=${1:-test}
python=${PYTHON:-python3}
venv_python=.venv/bin/python
stamp=.venv/set-up-$extra

say() { echo "set-up: $*" >&2; }

stop() {
    say "$*"
    exit 1
}

# --- rights -----------------------------------------------------------------------------

may_install() {
    command -v apt-get >/dev/null || return 1
    ((EUID == 0)) && return
    # sudo may ask for a password where somebody is there to type it.
    command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [[ -t 0 ]]; }
}

as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# Runs a long step quietly: what it prints matters only when it fails.
quietly() {
    local log code=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 || { code=$? && grep -v '^WARNING' "$log" | tail -n 10 >&2; }
    rm -f "$log"
    return "$code"
}

# Once is enough, however many packages are missing.
update_list() {
    [[ -n ${is_updated:-} ]] || quietly as_root apt-get update -q || return
    is_updated=yes
}

install() {
    say "installing Debian's package $*"
    { update_list &&
        quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q --yes \
            --no-install-recommends -o DPkg::Lock::Timeout=120 "$@"; } ||
        stop "apt-get could not install $*. Next: see its last lines above, and try again"
}

# --- Python -----------------------------------------------------------------------------

check_python() {
    command -v "$python" >/dev/null || stop "there is no $python. Next: install Python 3.11 or later, or name it with PYTHON=…"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        stop "$("$python" --version) is too old. Next: install Python 3.11 or later, or name it with PYTHON=…"
}

# What the set-up depends on: when that changes, or the folder moves, it is done again.
fingerprint() {
    { pwd && "$python" --version && cat pyproject.toml constraints.txt setup.sh; } | cksum
}

make_environment() {
    # Debian has venv in a package of its own.
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        may_install || stop "$python has no venv. Next: install it (Debian, Ubuntu: apt-get install python3-venv)"
        install python3-venv
    fi
    say "installing the Python packages into .venv, which takes a minute"
    "$python" -m venv .venv
    # Python compiles what is used when it is first used: that is a small part of all.
    quietly "$venv_python" -m pip install --disable-pip-version-check --no-compile \
        --constraint constraints.txt --editable ".[$extra]" ||
        stop "pip could not install the packages. Next: see its last lines above, and try again"
    # Some files of packages are not meant for this Python, which is no reason to stop.
    if [[ -n ${PYTHONDONTWRITEBYTECODE:-} ]]; then # each process would compile all of it again
        "$venv_python" -m compileall -q -j 0 -x '/tests/' .venv/lib rmqlab >/dev/null || true
    fi
    fingerprint >"$stamp"
}

# --- broker -----------------------------------------------------------------------------

has_node() { [[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]] || command -v rabbitmq-server >/dev/null; }

# Only a missing broker is ours to provide, and not one that was asked for and is not there.
needs_node() {
    has_node && return 1
    case ${RMQLAB_BROKER:-auto} in
    node) return 0 ;;
    auto) [[ -z ${AMQP_URL:-} ]] && ! "$venv_python" -m rmqlab doctor >/dev/null 2>&1 ;;
    *) return 1 ;;
    esac
}

install_node() {
    if ! may_install; then
        say "there is no RabbitMQ, and no right to install one. Next, do one of these:"
        say "  - set AMQP_URL to the URL of a broker that runs"
        say "  - start Docker, or Podman's socket with DOCKER_HOST pointing at it"
        stop "  - install RabbitMQ (Debian, Ubuntu: apt-get install rabbitmq-server; macOS: brew install rabbitmq; conda: see environment.yml)"
    fi
    say "there is neither AMQP_URL, nor a container engine, nor a RabbitMQ here"
    keep_from_starting rabbitmq-server epmd
    install rabbitmq-server
}

# The lab starts private nodes, when it needs one. What the packages would start listens to all.
keep_from_starting() {
    local policy=/usr/sbin/policy-rc.d name units=()
    if [[ -d /run/systemd/system ]]; then
        for name; do # a unit that is there is somebody else's
            systemctl cat "$name.service" >/dev/null 2>&1 || units+=("$name.service")
        done
        [[ " ${units[*]} " != *" epmd.service "* ]] || units+=(epmd.socket)
        ((${#units[@]})) || return 0
        say "masking ${units[*]}: the lab needs none of them, and 'systemctl unmask' gives them back"
        quietly as_root systemctl mask "${units[@]}" || stop "systemctl could not mask them. Next: see above"
    elif [[ ! -e $policy ]] && command -v invoke-rc.d >/dev/null; then
        trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi
}

# --- browser ----------------------------------------------------------------------------

has_browser() { [[ -n ${CHROMIUM:-} ]] || command -v chromium google-chrome >/dev/null; }

install_browser() {
    may_install || stop "there is no Chromium. Next: install it (Debian: apt-get install chromium), or name it with CHROMIUM=…"
    install chromium
}

check_python
if [[ ! -e $stamp || $(<"$stamp") != "$(fingerprint)" ]]; then make_environment; fi
case $extra in
site) ;; # nothing is executed
browser) has_browser || install_browser ;;
*) if needs_node; then install_node; fi ;;
esac
