#!/bin/sh
# Makes $VENV with the locked dependencies and this project in it. Needs Python >= 3.11.
set -eu
VENV=${VENV:-.venv}

recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
if [ -z "${PYTHON:-}" ]; then
    for PYTHON in python3 python3.13 python3.12 python3.11 python3.14; do
        recent "$PYTHON" && break
    done
fi
if ! recent "$PYTHON"; then
    echo "setup: Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3.11" >&2
    exit 1
fi
if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
    sh "$(dirname "$0")/system_packages.sh" venv
fi
[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
