#!/bin/sh
# Make or mend the virtual environment that the Makefile runs in:  sh scripts/setup.sh [EXTRAS]
#
#   EXTRAS    extras of pyproject.toml ("dev", "dev,umap"); none: the base alone, enough for the demo
#   VENV      the environment's folder (default .venv)
#   PYTHON    the interpreter to make it with (default: the one it was made with, else python3)
#   PIP_ARGS  further arguments for pip install, quoted as for a shell
#
# A stamp, written last, holds a checksum of what was installed from. While it matches, nothing is done and no network is
# asked. Two runs at once take turns by a lock, which the system frees whatever happens to its holder. A run that was cut
# short while pip was writing packages is recognised by its log, and the environment is made anew.
set -eu
cd "$(dirname "$0")/.."

extras=${1:-}
VENV=${VENV:-.venv}
PYTHON=${PYTHON:-}
PIP_ARGS=${PIP_ARGS:-}
log=$VENV/install.log

say() { printf '%s\n' "$@" >&2; }
die() { say '' "$@"; exit 1; }
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }
new_enough() { case $1 in 3.[0-9] | 3.10) return 1 ;; 3.*) return 0 ;; *) return 1 ;; esac; }
ours() { [ -e "$VENV/.made-by-setup" ]; }

fingerprint=$({ cat pyproject.toml constraints.txt; pwd; } | cksum)
stamp() { printf '%s' "$VENV/.installed-${1:-base}"; }
made_with=$(version_of "$VENV/bin/python") || made_with=

# --- the interpreter ---------------------------------------------------------------------------------------------------
if [ -z "$PYTHON" ]; then
    PYTHON=python3
    if [ -n "$made_with" ]; then
        PYTHON=$("$VENV/bin/python" -c 'import sys; print(sys._base_executable)')
    fi
fi
command -v "$PYTHON" >/dev/null 2>&1 || die \
    "There is no '$PYTHON' on this machine (or not on PATH). Manifold Traversal needs Python 3.11 or newer." \
    "Install it (Debian, Ubuntu: sudo apt install python3 python3-venv) or name yours: make demo PYTHON=/path/to/python3"
version=$(version_of "$PYTHON") || die \
    "'$PYTHON' was found but does not run. Name an interpreter that does: make demo PYTHON=/path/to/python3"

if [ "$made_with" = "$version" ] && [ "$(cat "$(stamp "$extras")" 2>/dev/null)" = "$fingerprint" ]; then
    exit 0
fi

if ! new_enough "$version"; then
    found=
    for other in python3.14 python3.13 python3.12 python3.11; do
        if new_enough "$(version_of "$other")"; then found=$other && break; fi
    done
    if [ -n "$found" ]; then
        die "'$PYTHON' is Python $version, too old: Manifold Traversal needs 3.11 or newer." \
            "This machine also has $found. Use it: make demo PYTHON=$found"
    fi
    die "'$PYTHON' is Python $version, too old: Manifold Traversal needs 3.11 or newer." \
        "Install a newer one beside it and name it: make demo PYTHON=python3.12"
fi
"$PYTHON" -c 'import ensurepip, fcntl, venv' 2>/dev/null || die \
    "'$PYTHON' (Python $version) cannot make virtual environments: its venv or ensurepip module is missing." \
    "Debian, Ubuntu: sudo apt install python$version-venv" \
    "Elsewhere: install the full Python, or name another one: make demo PYTHON=/path/to/python3"

# --- one at a time -----------------------------------------------------------------------------------------------------
# Python takes the lock and becomes this script again, which keeps the lock until it and its pip have ended.
if [ -z "${MANIFOLD_SETUP_LOCKED:-}" ]; then
    export MANIFOLD_SETUP_LOCKED=1 VENV PYTHON PIP_ARGS
    exec "$PYTHON" -c '
import fcntl, os, sys

path = sys.argv[1]
try:
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
except OSError as error:
    sys.exit("Cannot write %s: %s." % (path, error.strerror))
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("Another run is setting up this environment; waiting for it to finish.", file=sys.stderr, flush=True)
    fcntl.flock(lock, fcntl.LOCK_EX)
except OSError:
    pass  # a file system without locks
os.set_inheritable(lock, True)
os.execvp("sh", ["sh"] + sys.argv[2:])
' "$VENV.lock" scripts/setup.sh "$extras"
fi

# --- the environment ---------------------------------------------------------------------------------------------------
problem=
if [ -z "$made_with" ]; then
    problem='it does not run'
elif [ "$made_with" != "$version" ]; then
    problem="it has Python $made_with, and $version was asked for"
elif ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
    problem='it has no pip'
elif [ -e "$VENV/.installing" ] && grep -q 'Installing collected packages' "$log" 2>/dev/null; then
    problem='an earlier install into it was cut short'
fi

rm -rf "$VENV.trash"
if [ -n "$problem" ]; then
    if [ -n "$(ls -A "$VENV" 2>/dev/null)" ]; then
        ours || die "The folder $VENV cannot be used as a virtual environment: $problem." \
            "It was not made here, so it is left alone: remove it, or choose another folder with VENV=folder."
        say "Making $VENV anew: $problem."
        mv "$VENV" "$VENV.trash"
        rm -rf "$VENV.trash"
    fi
    mkdir -p "$VENV"
    : >"$VENV/.made-by-setup"
    "$PYTHON" -m venv "$VENV" || die "'$PYTHON -m venv $VENV' failed; what it said is above."
fi

# --- the packages ------------------------------------------------------------------------------------------------------
say "Installing into $VENV (Python $version): ${extras:-base}, at the versions of constraints.txt."
if [ -z "$PIP_ARGS" ] && ! "$VENV/bin/python" -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)'; then
    say "With a CPU build of PyTorch: some 320 MB to download, 1.4 GB on disk. By default pip takes what the package index has:" \
        "on Linux a CUDA build, which is several GB more. To choose the CPU build, interrupt this (Ctrl-C) and run" \
        "    make demo PIP_ARGS=\"--extra-index-url ADDRESS\"" \
        "with the CPU address that https://pytorch.org/get-started/locally shows."
fi

: >"$log"
: >"$VENV/.installing"
pip_install() {
    "$VENV/bin/python" -m pip install --disable-pip-version-check --no-input --log "$log" -c constraints.txt "$@"
}
install() {
    # setuptools first, so that the project is built with the pinned one; `compat`, so that type checkers see the packages too
    eval "pip_install $PIP_ARGS setuptools" &&
        : >"$log" &&
        eval "pip_install $PIP_ARGS --no-build-isolation --config-settings editable_mode=compat -e \".\${extras:+[\$extras]}\""
}
export PIP_USER=0
if ! install; then
    # nothing was written yet: the next run goes on from here, and what was complete before still is
    grep -q 'Installing collected packages' "$log" || rm -f "$VENV/.installing"
    if grep -Eq 'NewConnectionError|NameResolutionError|Name or service not known|Temporary failure in name resolution|Network is unreachable|ConnectTimeoutError|ReadTimeoutError|ProxyError|Connection refused' "$log"; then
        why='pip could not reach the package index: this machine is offline, or needs a proxy or a mirror (PIP_ARGS="--index-url ADDRESS").'
    elif grep -q 'No space left on device' "$log"; then
        why='The disk is full.'
    elif grep -q 'No matching distribution found' "$log"; then
        why="The package index has no fitting file for Python $version on this system; another Python may help: make demo PYTHON=python3.12"
    else
        why='What pip said is above.'
    fi
    die "The install stopped. $why" "The same command goes on where it can; the whole log is in $log."
fi
rm -f "$VENV/.installing"
for done_now in '' "$extras" "${extras%%,*}"; do
    printf '%s' "$fingerprint" >"$(stamp "$done_now")"
done
say "Installed. Next time this step is skipped."
