"""Packages that stand in for others (simulated), in a repository that a host has on its own disk: apt is real."""

from __future__ import annotations

from collections.abc import Mapping

from tests.lab.hosts import Host

REPOSITORY = """set -e
cd /srv/repository
for folder in */; do
  name=${folder%/}
  dpkg-deb --root-owner-group --build "$name" "$name.deb" >/dev/null
  dpkg-deb -f "$name.deb"
  echo "Filename: ./$name.deb"
  echo "Size: $(stat -c %s "$name.deb")"
  echo "SHA256: $(sha256sum "$name.deb" | cut -d' ' -f1)"
  echo
done >Packages
"""


def control(name: str, version: str) -> str:
    """What a package says of itself."""
    words = {
        "Package": name,
        "Version": version,
        "Architecture": "all",
        "Maintainer": "none",
        "Description": "simulated",
    }
    return "".join(f"{word}: {value}\n" for word, value in words.items())


def simulate_packages(host: Host, packages: Mapping[str, tuple[str, str]], version: str) -> None:
    """Make the only repository of a host, with stand-ins in one version.

    Args:
        host: where.
        packages: each one's name, with the file that it brings and that file's text; empty: none.
        version: theirs.
    """
    host.shell("rm -rf /srv/repository /etc/apt/sources.list /etc/apt/sources.list.d/*")
    for name, (path, text) in packages.items():
        folder = f"/srv/repository/{name}"
        host.put(f"{folder}/DEBIAN/control", control(name, version))
        if path:
            host.put(folder + path, text, "0755" if "/bin/" in path else "0644")
    host.shell(REPOSITORY)
    host.put("/etc/apt/sources.list", "deb [trusted=yes] file:/srv/repository ./\n")
    host.shell("apt-get -qq update")
