"""Run Transformers' own common model and configuration tests on our classes.

    python tests/upstream.py [FAMILY ...] [--stock] [--sdist ARCHIVE] [options of pytest]

A FAMILY is a name of `families.py`; without one all of them are tested, one after another. `--stock` tests the host's
own token classifiers of the families, to compare with.

The tests are not installed with Transformers, but its source archive has them. This fetches the archive of the
installed version with pip (or takes the one given), extracts its tests into a temporary directory, adds stubs for the
modules that the archive lacks and `upstream_harness.py`, and runs pytest there. Exits as pytest does, or with 2 if the
archive cannot be had.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

from families import FAMILIES

HERE = Path(__file__).resolve().parent
VERSION = version("transformers")
TEST = """
import unittest

from .test_configuration_common import ConfigTester
from .test_modeling_common import ModelTesterMixin
from .upstream_harness import CONFIG_CLASS, FIELDS, HEAD, Harness


class UpstreamTest(Harness, ModelTesterMixin, unittest.TestCase):
    def test_config(self):
        ConfigTester(self, config_class=CONFIG_CLASS, **FIELDS, **HEAD).run_common_tests()
"""
FILES = {
    "exporters/test_export.py": "class ExportTesterMixin: ...",
    "generation/test_utils.py": "class GenerationTesterMixin: ...",
    "utils/test_configuration_utils.py": "from ..upstream_harness import config_common_kwargs",
    "test_upstream.py": TEST,
    # Keeps pytest from looking for settings further up, and makes it count subtests whatever its verbosity.
    "pytest.ini": "[pytest]\nverbosity_subtests = 1\nfilterwarnings = ignore::pytest.PytestUnknownMarkWarning",
}


def fail(message: str) -> None:
    print(f"upstream.py: {message}", file=sys.stderr)
    sys.exit(2)


def download(folder: Path) -> Path:
    """Fetch the source archive of the installed Transformers."""
    options = ["--no-deps", "--no-binary", ":all:", "-d", str(folder)]
    command = [sys.executable, "-m", "pip", "download", *options, f"transformers=={VERSION}"]
    result = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if result.returncode:
        reason = result.stderr.strip().rpartition("ERROR: ")[2].partition("\n")[0]
        fail(f"cannot download the source archive of transformers {VERSION}: {reason}")
    return next(folder.iterdir())


def lay_out(archive: Path, folder: Path) -> Path:
    """Extract the archive's tests, put ours and the stubs beside them, and return where they are."""
    prefix = f"transformers-{VERSION}/tests/"
    try:
        with tarfile.open(archive) as tar:
            members = [member for member in tar if member.name.startswith(prefix)]
            tar.extractall(folder, members, filter="data")
    except (OSError, EOFError, tarfile.TarError) as error:
        fail(f"cannot read {archive}: {str(error).partition(chr(10))[0]}")
    if not members:
        fail(f"{archive} must be the source archive of the installed transformers {VERSION}, got none of {prefix}")
    for name, text in FILES.items():
        path = folder / prefix / name
        path.parent.mkdir(exist_ok=True)
        path.with_name("__init__.py").touch()
        path.write_text(f"{text}\n", encoding="utf-8")
    shutil.copy(HERE / "upstream_harness.py", folder / prefix)
    return folder / prefix


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=f"of {', '.join(FAMILIES)}")
    parser.add_argument("--stock", action="store_true", help="test the host's own token classifiers")
    parser.add_argument("--sdist", type=Path, metavar="ARCHIVE", help="a source archive downloaded before")
    arguments, options = parser.parse_known_args()
    if unknown := sorted({*arguments.families} - FAMILIES.keys()):
        parser.error(f"a FAMILY must be one of {', '.join(FAMILIES)}, got {unknown[0]}")
    worst = 0
    with tempfile.TemporaryDirectory() as folder:
        tests = lay_out(arguments.sdist or download(Path(folder)), Path(folder))
        paths = [str(HERE.parent), str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"}
        if arguments.stock:
            environment["UPSTREAM_STOCK"] = "1"
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_upstream.py", *options]
        for family in arguments.families or FAMILIES:
            print(f"{family}:", flush=True)
            own = environment | {"UPSTREAM_FAMILY": family}
            worst = max(worst, subprocess.run(command, cwd=tests, env=own, check=False).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
