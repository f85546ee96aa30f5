#!/bin/sh
# Fills an image with two environments: sh image.sh STACK, run by the build from its context (this folder).
#   /opt/stack/venv   what stacks/STACK/requirements.lock pins; runs the measured workload
#   /opt/agent/venv   what requirements.lock pins; runs clearml-agent, the entry script and the supervisor
# From wheels/ where the context has that folder (no network is then used), else online: torch from $INDEX, the rest
# from pip's default. Secrets "pip" (a pip.conf) and "ca" (certificates) are this build's only and do not stay.
# sh image.sh STACK derived: the image of its base has both already, and /opt/stack/venv gets what the lock adds, or has
# in the place of a package of the base; online with the options in stacks/STACK/indexes.txt.
set -eu
here=$(dirname "$0")
lock=$here/stacks/$1/requirements.lock
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
if [ -s /run/secrets/pip ]; then export PIP_CONFIG_FILE=/run/secrets/pip; fi
if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi

without_hashes() { sed -e 's/ *--hash=[^ ]*//g' -e 's/ *\\$//' "$1"; }

install() { # VENV, then pip's options
    venv=$1; shift
    "$venv/bin/pip" install --quiet --no-deps "$@"
    "$venv/bin/pip" check
}

# Says what a script's Python had loaded (stackyard.stacks.hook); absent from an image that is built by hand.
lay_hook() {
    if [ ! -d "$here/hook" ]; then return 0; fi
    for folder in /opt/stack/venv/lib/python3.*/site-packages; do
        cp -R "$here/hook/." "$folder/"
        (cd "$here/hook" && find . -name '*.py') | while read -r file; do
            /opt/stack/venv/bin/python -I -S -m py_compile "$folder/$file"
        done
    done
}

if [ "${2:-}" = derived ]; then
    if [ -d "$here/wheels" ]; then
        without_hashes "$lock" > /tmp/stack.txt
        install /opt/stack/venv --no-index --find-links "$here/wheels" -r /tmp/stack.txt
    else
        unset PIP_NO_INDEX # of the base image
        cat "$here/stacks/$1/indexes.txt" "$lock" > /tmp/stack.txt
        install /opt/stack/venv -r /tmp/stack.txt
    fi
    lay_hook
    rm -f /tmp/*.txt
    exit 0
fi
for name in stack agent; do
    python3 -m venv "/opt/$name/venv"
    # Debian up to 11 lists this as a package of its own; no lock knows it.
    rm -rf "/opt/$name/venv/lib/"python3.*/site-packages/pkg_resources-0.0.0.dist-info
done
if [ -d "$here/wheels" ]; then
    # A folder's owner may have built some of its files: hashes hold for files of an index.
    without_hashes "$lock" > /tmp/stack.txt
    without_hashes "$here/requirements.lock" > /tmp/agent.txt
    install /opt/stack/venv --no-index --find-links "$here/wheels" -r /tmp/stack.txt
    install /opt/agent/venv --no-index --find-links "$here/wheels" -r /tmp/agent.txt
else
    grep '^torch==' "$lock" > /tmp/torch.txt || true # a stack may have none
    grep -v '^torch==' "$lock" > /tmp/rest.txt
    if [ -s /tmp/torch.txt ]; then
        /opt/stack/venv/bin/pip install --quiet --no-deps ${INDEX:+--index-url "$INDEX"} -r /tmp/torch.txt
    fi
    install /opt/stack/venv -r /tmp/rest.txt
    install /opt/agent/venv --require-hashes -r "$here/requirements.lock"
fi
lay_hook
rm -f /tmp/*.txt
id stackyard > /dev/null 2>&1 || useradd --create-home --uid 1000 stackyard
# An agent that is not root runs its containers under its own number: the home is anybody's who gets in.
chmod 1777 /home/stackyard
