"""Run Transformers' own common model and configuration tests on our classes.

    python tests/upstream.py [--sdist ARCHIVE] [options of pytest]

The tests are not installed with Transformers, but its source archive has them. This fetches the archive of the installed
version with pip (or takes the one given), extracts its tests into a temporary directory, adds stubs for the modules that
the archive lacks and `upstream_harness.py`, and runs pytest there. Exits as pytest does, or with 2 without an archive.
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

HERE = Path(__file__).resolve().parent
RELEASE = f"transformers-{version('transformers')}"

TEST = '''
import unittest

from .test_configuration_common import ConfigTester
from .test_modeling_common import ModelTesterMixin
from .upstream_harness import CONFIG_CLASS, HEAD, SIZES, Harness


class UpstreamTest(Harness, ModelTesterMixin, unittest.TestCase):
    def test_config(self):
        ConfigTester(self, config_class=CONFIG_CLASS, **SIZES, **HEAD).run_common_tests()
'''
COMMON_KWARGS = {
    "return_dict": False,
    "output_attentions": True,
    "dtype": "float16",
    "chunk_size_feed_forward": 5,
    "architectures": ["Another"],
    "id2label": {0: "NOUN", 1: "VERB"},
    "label2id": {"NOUN": 0, "VERB": 1},
}
FILES = {
    # Also keeps pytest from looking for settings further up.
    "pytest.ini": "[pytest]\nfilterwarnings = ignore::pytest.PytestUnknownMarkWarning\n",
    "tests/__init__.py": "",
    "tests/exporters/__init__.py": "",
    "tests/exporters/test_export.py": "class ExportTesterMixin:\n    pass\n",
    "tests/generation/__init__.py": "",
    "tests/generation/test_utils.py": "class GenerationTesterMixin:\n    pass\n",
    "tests/utils/__init__.py": "",
    "tests/utils/test_configuration_utils.py": f"config_common_kwargs = {COMMON_KWARGS}\n",
    "tests/test_upstream.py": TEST,
}


def fail(message: str) -> None:
    print(f"upstream.py: {message}", file=sys.stderr)
    sys.exit(2)


def download(folder: Path) -> Path:
    """Fetch the source archive of the installed Transformers."""
    requirement = RELEASE.replace("-", "==", 1)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:", requirement, "-d", str(folder)]
    result = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    archives = list(folder.glob("*.tar.gz"))
    if result.returncode or not archives:
        errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR:")] or ["no archive came"]
        fail(f"cannot download the source archive of {requirement}: {errors[-1].removeprefix('ERROR:').strip()}")
    return archives[0]


def lay_out(archive: Path, folder: Path) -> Path:
    """Extract the archive's tests, put ours and the stubs beside them, and return the directory above `tests`."""
    try:
        with tarfile.open(archive) as tar:
            members = [member for member in tar if member.name.startswith(f"{RELEASE}/tests/")]
            tar.extractall(folder, members, filter="data")
    except (OSError, tarfile.TarError) as error:
        fail(f"cannot read {archive}: {error}")
    if not members:
        fail(f"{archive} must be the source archive of the installed {RELEASE}, it has no {RELEASE}/tests/")
    for name, text in FILES.items():
        path = folder / RELEASE / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    shutil.copy(HERE / "upstream_harness.py", folder / RELEASE / "tests")
    return folder / RELEASE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sdist", type=Path, metavar="ARCHIVE", help="a source archive that is already here")
    arguments, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        root = lay_out(arguments.sdist or download(Path(folder)), Path(folder))
        paths = [str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/test_upstream.py", *options]
        return subprocess.run(command, cwd=root, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
