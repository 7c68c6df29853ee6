"""A release: both distributions of the last commit, built and checked; the upload, for whoever has the credentials.

    python tools/release.py --output dist               build and check, and say what is left to do
    python tools/release.py --output dist --url https://github.com/OWNER/NAME --upload

It asks for a clean checkout whose version is the changelog's newest, with nothing under Unreleased and no tag of its
name. The address of the repository stands nowhere in the sources, so that a fork needs no changes: it becomes the
project's addresses, and the README's links, which are relative, lead to the files of the tag (in the way of GitHub).
Without it the distributions can be checked, but not uploaded. `build` and `twine` come with the extra `[dev]`; twine
asks for a token, or takes it from `TWINE_PASSWORD` or the keyring.
"""

import argparse
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

__all__ = ["build", "newest", "with_addresses"]

ROOT = Path(__file__).parent.parent
VERSION = re.compile(r'^__version__ = "(.+)"$', re.M)


def main(argv: Sequence[str]) -> None:
    """Release what is committed, or end in one sentence."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="folder of the distributions; must be new")
    parser.add_argument("--url", help="address of the repository, such as https://github.com/OWNER/NAME")
    parser.add_argument("--upload", action="store_true", help="upload to the package index, and tag the commit")
    options = parser.parse_args(argv)
    if options.upload and not options.url:
        sys.exit("--upload needs --url: without it the README's links lead nowhere on the package index")
    if options.url and not re.fullmatch(r"https://[\w.-]+(/[\w.-]+)+", options.url):
        sys.exit(f"--url must be the https address of the repository, got {options.url!r}")
    if options.output.exists():
        sys.exit(f"--output must be new, got {options.output}, which exists")
    version = checked_version()
    files = build(options.output, version, options.url)
    commands = [
        [sys.executable, "-m", "twine", "upload", *map(str, files)],
        ["git", "tag", "-a", f"v{version}", "-m", f"Version {version}"],
        ["git", "push", "origin", f"v{version}"],
    ]
    if not options.upload:
        where = "" if options.url else " (once built with --url)"
        print(f"\nwhat --upload does{where}:", *map(shlex.join, commands), sep="\n  ")
        return
    for command in commands:
        subprocess.run(command, cwd=ROOT, check=True)


def checked_version() -> str:
    """Return the version of a checkout that can be released; end in one sentence for any other."""
    if changed := git("status", "--porcelain").decode().splitlines():
        sys.exit(f"the checkout must be clean, got {len(changed)} changed files: {changed[0].strip()}")
    (version,) = VERSION.findall((ROOT / "modeling_bert_crf" / "__init__.py").read_text(encoding="utf-8"))
    try:
        found = newest((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    except ValueError as error:
        sys.exit(str(error))
    if found != version:
        sys.exit(f"__version__ must be the newest of CHANGELOG.md, {found}, got {version}")
    if git("tag", "--list", f"v{version}"):
        sys.exit(f"version {version} has been released: there is a tag v{version}")
    return version


def newest(changelog: str) -> str:
    """Return the newest version of a changelog.

    >>> newest("# Changelog\\n\\n## Unreleased\\n\\n## 0.2.0 - 2026-11-26\\n\\n### Added\\n")
    '0.2.0'

    Raises:
        ValueError: if something stands under Unreleased, or there is no version with its date.
    """
    sections = re.split(r"^## (.+)\n", changelog, flags=re.M)
    titles, bodies = sections[1::2], sections[2::2]
    if titles[:1] == ["Unreleased"]:
        if bodies[0].strip():
            raise ValueError("CHANGELOG.md must have nothing under Unreleased: give it a version and a date")
        titles = titles[1:]
    if not titles or not (hit := re.fullmatch(r"(\d+\.\d+\.\d+) - \d{4}-\d\d-\d\d", titles[0])):
        raise ValueError(f"CHANGELOG.md must have a line `## VERSION - YYYY-MM-DD` at its top, got {titles[:1]}")
    return hit[1]


def build(output: Path, version: str, url: str | None, options: Sequence[str] = ()) -> list[Path]:
    """Build the last commit into a folder, and check what the package index will be shown.

    Args:
        output: the folder; made if need be.
        version: of the commit.
        url: address of the repository; None leaves the README as it is.
        options: of `python -m build`.

    Returns:
        The source distribution and the wheel that was built from it.
    """
    with tempfile.TemporaryDirectory() as name:
        with tarfile.open(fileobj=BytesIO(git("archive", "HEAD"))) as archive:
            archive.extractall(name, filter="data")
        if url:
            for file in ("README.md", "pyproject.toml"):
                path = Path(name, file)
                path.write_text(with_addresses(path.read_text(encoding="utf-8"), file, url, version), encoding="utf-8")
        command = [sys.executable, "-m", "build", *options, "--outdir", str(output.resolve()), name]
        subprocess.run(command, check=True)
    files = sorted(output.iterdir())
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *map(str, files)], check=True)
    return files


def with_addresses(text: str, file: str, url: str, version: str) -> str:
    """Write the repository's address into a file.

    >>> page = "![A](docs/a.svg) [b](docs/b.md#c) [d](https://d)"
    >>> print(with_addresses(page, "README.md", "https://h/o/n", "1.0.0"))
    ![A](https://h/o/n/raw/v1.0.0/docs/a.svg) [b](https://h/o/n/blob/v1.0.0/docs/b.md#c) [d](https://d)
    """
    if file == "README.md":
        text = re.sub(r"(!\[[^]]*\]\()(?!\w+:)", rf"\1{url}/raw/v{version}/", text)
        return re.sub(r"((?<!!)\[[^]]*\]\()(?!\w+:|#)", rf"\1{url}/blob/v{version}/", text)
    addresses = {"Repository": url, "Changelog": f"{url}/blob/v{version}/CHANGELOG.md", "Issues": f"{url}/issues"}
    return text + "\n[project.urls]\n" + "".join(f'{name} = "{place}"\n' for name, place in addresses.items())


def git(*words: str) -> bytes:
    """Return what a command of git prints."""
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True).stdout


if __name__ == "__main__":
    main(sys.argv[1:])
