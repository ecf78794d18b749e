#!/usr/bin/env bash
# Installs the Debian packages BabbleFish uses, where it may; elsewhere says the command and goes on.
#
#   deploy/install_debian.sh GROUP...
#
# Groups: python (to make a virtual environment), run (npm, to fetch the voices), light (Apertium, which translates in the
# light profile), test (a browser), bench (telephone prompts in five languages to recognise, 60 MB).
# The server starts without the groups "run" and "light": with plainer voices, and in light with captions in English.
set -euo pipefail

wanted=()
for group in "$@"; do
    case "$group" in
    python) wanted+=(python3-venv) ;;
    run)
        # An npm from elsewhere does as well, and Debian's brings hundreds of packages.
        command -v npm >/dev/null || wanted+=(npm)
        ;;
    light)
        wanted+=(apertium apertium-eng-spa apertium-eng-cat apertium-fra-cat apertium-fr-es)
        wanted+=(apertium-es-pt apertium-por-cat apertium-spa-ita apertium-cat-ita)
        ;;
    # Playwright drives the browser with a Node.js of its own, which needs libatomic.
    # certutil makes the browser trust a certificate authority.
    # systemd-analyze, in systemd, reads the service's unit.
    test) wanted+=(chromium libatomic1 libnss3-tools systemd) ;;
    bench)
        for lang in en es fr it ru; do
            wanted+=("asterisk-core-sounds-$lang" "asterisk-core-sounds-$lang-g722")
        done
        ;;
    *)
        echo "usage: $0 [python] [run] [light] [test] [bench]" >&2
        exit 2
        ;;
    esac
done
if [ ${#wanted[@]} -eq 0 ]; then
    exit 0
fi

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "This is not a Debian system; install the counterparts of: ${wanted[*]}" >&2
    exit 0
fi

# dpkg-query exits with 1 when it does not know one of the packages.
installed=$(dpkg-query --show --showformat '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null || true)
missing=()
for package in "${wanted[@]}"; do
    grep -qx "$package installed" <<<"$installed" || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi

by_hand="sudo apt-get update && sudo apt-get install --no-install-recommends ${missing[*]}"
if [ "$(id -u)" -eq 0 ]; then
    as_root=()
elif sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
else
    echo "Debian packages are missing and installing them needs root. Run: $by_hand" >&2
    exit 0
fi

echo "Installing Debian packages: ${missing[*]}"
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120)
if ! { "${apt[@]}" update && "${apt[@]}" install --no-install-recommends "${missing[@]}"; }; then
    echo "The Debian packages could not be installed. To try again: $by_hand" >&2
fi
