"""A release: what is uploaded builds, is valid, installs into a bare environment, and runs there."""

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import modeling_bert_crf

ROOT = Path(__file__).parent.parent
ADDRESS = "https://example.org/owner/name"


@pytest.fixture(scope="module")
def release():
    """The script."""
    spec = importlib.util.spec_from_file_location("release", ROOT / "tools" / "release.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_changelog_is_cut_for_the_version(release):
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    waiting, cut = re.fullmatch(r"(.*## Unreleased\n)(?:.*?)(\n## \d.*)", text, flags=re.S).groups()
    assert release.newest(waiting + cut) == modeling_bert_crf.__version__


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# C\n\n## Unreleased\n\n- One.\n\n## 0.1.0 - 2026-01-01\n", "must have nothing under Unreleased"),
        ("# C\n\n## Unreleased\n", r"must have a line `## VERSION - YYYY-MM-DD` at its top, got \[\]"),
        ("# C\n\n## 0.1.0\n", r"must have a line `## VERSION - YYYY-MM-DD` at its top, got \['0.1.0'\]"),
    ],
    ids=["waiting", "no version", "no date"],
)
def test_a_changelog_that_is_not_cut_is_refused(release, text, message):
    with pytest.raises(ValueError, match=message):
        release.newest(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--upload"], "--upload needs --url"),
        (["--url", "github.com/a/b"], "--url must be the https address of the repository, got 'github.com/a/b'"),
        ([], "--output must be new, got "),
    ],
    ids=["no address", "no https", "there already"],
)
def test_a_release_that_would_be_wrong_is_refused(release, tmp_path, options, message):
    with pytest.raises(SystemExit, match=message):
        release.main(["--output", str(tmp_path), *options])


def test_every_link_of_the_package_indexs_page_has_an_address(release):
    page = release.with_addresses((ROOT / "README.md").read_text(encoding="utf-8"), "README.md", ADDRESS, "1.2.3")
    targets = re.findall(r"\]\(([^)]+)\)", page)
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []
    assert "![A tagged sentence" in page
    assert f"]({ADDRESS}/raw/v1.2.3/docs/images/sentence.svg)" in page
    assert f"[Data in]({ADDRESS}/blob/v1.2.3/docs/data.md)" in page


def test_the_addresses_of_the_project_are_those_that_were_given(release):
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(release.with_addresses(text, "pyproject.toml", ADDRESS, "1.2.3"))["project"]
    assert project["urls"] == {
        "Repository": ADDRESS,
        "Changelog": f"{ADDRESS}/blob/v1.2.3/CHANGELOG.md",
        "Issues": f"{ADDRESS}/issues",
    }
    assert "urls" not in tomllib.loads(text)["project"]  # nobody has said them


@pytest.fixture(scope="module")
def built(release, tmp_path_factory):
    """Both distributions of the last commit; `tools/release.py` has had twine check them."""
    folder = tmp_path_factory.mktemp("dist")
    (version,) = re.findall(
        r'^__version__ = "(.+)"$', release.git("show", "HEAD:modeling_bert_crf/__init__.py").decode(), re.M
    )
    source, wheel = sorted(release.build(folder, version, ADDRESS, ["--no-isolation"]), key=lambda path: path.suffix)
    assert (source.suffix, wheel.suffix) == (".gz", ".whl")
    return folder


def commands_that_install() -> list[str]:
    """The commands of README and docs that install the package by its name."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    lines = [line for page in pages for line in page.read_text(encoding="utf-8").splitlines()]
    return sorted({line.strip() for line in lines if re.match(r"\s*(uv )?pip install '?modeling-bert-crf", line)})


@pytest.mark.slow
@pytest.mark.parametrize("command", commands_that_install())
def test_what_is_installed_as_the_docs_say_trains_tags_and_reports(built, command, tmp_path):
    """The wheel comes from the folder, and what it requires from the environment of the tests."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    uv = command.startswith("uv ")
    subprocess.run([sys.executable, "-m", "venv", *(["--without-pip"] if uv else []), tmp_path / "env"], check=True)
    environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(built), "PIP_NO_DEPS": "1", "UV_OFFLINE": "1"}
    environment |= {
        "UV_FIND_LINKS": str(built),
        "UV_NO_INDEX": "1",
        "UV_CONFIG_FILE": str(tmp_path / "uv.toml"),
        "HF_HUB_OFFLINE": "1",
    }
    environment |= {"VIRTUAL_ENV": str(tmp_path / "env"), "OMP_NUM_THREADS": "1"}
    environment["PATH"] = os.pathsep.join(
        [str(tmp_path / "env/bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    )
    (tmp_path / "here").mkdir()
    (tmp_path / "uv.toml").write_text("[pip]\nno-deps = true\n")

    def run(*words):
        done = subprocess.run(words, cwd=tmp_path / "here", env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    run("bash", "-euo", "pipefail", "-c", command)
    (packages,) = (tmp_path / "env").glob("lib/python*/site-packages")
    others = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "requirements.pth").write_text("\n".join(others))  # as plain folders: no editable install acts
    where = run(str(tmp_path / "env/bin/python"), "-c", "import modeling_bert_crf; print(modeling_bert_crf.__file__)")
    assert where.startswith(str(packages))
    assert "Usage: bert-crf" in run("bert-crf", "--help")
    assert "--model_name_or_path" in run("bert-crf", "train", "--help")
    assert "test F1 (strict): " in run("bert-crf", "train", "demo")
    assert run("bert-crf", "report", "runs/demo").strip() == "runs/demo/report.html"
    assert "[PER]" in run("bert-crf", "tag", "runs/demo", "Brond Tair moved to Zask .", "--format", "redacted")
