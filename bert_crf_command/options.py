"""The command line of `bert-crf train`, read without torch: its help, its mistakes, and a file of options.

Most options are the host's `TrainingArguments`. Importing them takes many seconds, since the host imports torch, and
nobody should wait for that to see the help or a mistyped name. So `options.json` lists the options, and this module
makes a parser of the list that accepts and refuses what the real one does. The list is made by

    python -m bert_crf_command.options

which is due whenever an option changes, or Transformers is upgraded; a test compares the list with the real parser.
Where another version of Transformers is installed than the one that the list was made with, its options may be others,
and they are taken from the real parser, in its own time.
"""

import json
from argparse import SUPPRESS, ArgumentDefaultsHelpFormatter, ArgumentParser, ArgumentTypeError
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from .frame import CommandError, visible

__all__ = ["TABLE", "CommandLine", "Program", "describe", "make_parser", "read_command_line", "read_table"]

TABLE = Path(__file__).with_name("options.json")


class Program(NamedTuple):
    """What the program that trains is called: it is a script in a checkout, and a command where it is installed.

    Attributes:
        name: the name that its messages begin with.
        usage: the first line of its help.
        start: the words that start it.
        script: the words that start it after `torchrun` and its options.
    """

    name: str
    usage: str
    start: str
    script: str

    def started(self, processes: int) -> str:
        """Return the words that start the program in so many processes."""
        return self.start if processes == 1 else f"torchrun --nproc_per_node {processes} {self.script}"


class CommandLine(NamedTuple):
    """Options as the command line has them, and the file that they were read from, if it was one."""

    words: list[str]
    file: Path | None = None


def read_command_line(argv: Sequence[str], program: Program) -> CommandLine:
    """Read options, or one YAML or JSON file with the same names, and check their names and the kinds of their values.

    Options may follow the file; they take the place of those in it.

    A request for help, and a value of the wrong kind, end the program as `argparse` does it.

    Raises:
        CommandError: if the file is missing or holds no options, or there is no such option.
    """
    options = read_table()
    file = Path(argv[0]) if argv and Path(argv[0]).suffix in (".yaml", ".yml", ".json") else None
    first, rest = ([], list(argv)) if file is None else (_words_of_file(file, options), list(argv[1:]))
    parser, words = make_parser(options, program), [*first, *rest]
    unknown = parser.parse_known_args(rest)[1]
    if not unknown and (unknown := parser.parse_known_args(words)[1]):
        rest = []
    if unknown:
        names = [name for option in options for name in option["names"]]
        near = get_close_matches(unknown[0], ["-h", "--help", *names], 1)
        hint = f"; did you mean {near[0]}?" if near else "; --help lists them"
        raise CommandError(("" if file is None or rest else f"{file}: ") + f"{unknown[0]} is no option{hint}")
    return CommandLine(words, file)


def read_table() -> list[dict[str, Any]]:
    """Return the options of the installed version of Transformers, each as `describe` describes it."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    if table["transformers"] == version("transformers"):
        return table["options"]
    from modeling_bert_crf.training.arguments import option_parser

    return describe(option_parser())


def describe(parser: ArgumentParser) -> list[dict[str, Any]]:
    """Describe a parser's options, beside the help, in what JSON can hold; what is None is left out."""
    described = []
    for action in parser._actions:
        values = {
            "names": action.option_strings,
            "dest": action.dest,
            "nargs": action.nargs,
            "const": action.const,
            "default": action.default,
            "type": getattr(action.type, "__name__", None),
            "choices": None if action.choices is None else list(action.choices),
            "help": action.help,
        }
        if "--help" not in action.option_strings:
            described.append({name: value for name, value in values.items() if value is not None})
    return described


def make_parser(options: Sequence[Mapping[str, Any]], program: Program) -> ArgumentParser:
    """Make a parser of options as `describe` describes them. It looks at names and values, and knows no defaults."""
    parser = _Parser(prog=program.name, usage=program.usage, formatter_class=ArgumentDefaultsHelpFormatter)
    for option in options:
        shared = {"dest": option["dest"], "default": SUPPRESS, "help": option.get("help")}
        if option.get("nargs") == 0:
            parser.add_argument(*option["names"], action="store_false", **shared)
        else:
            values = {name: option[name] for name in ("nargs", "const", "choices") if name in option}
            if (kind := option.get("type")) in _KINDS:
                values["type"] = _KINDS[kind]
            parser.add_argument(*option["names"], **values, **shared)
    return parser


class _Parser(ArgumentParser):
    """A parser whose messages may quote foreign text, from a file of options."""

    def error(self, message: str) -> NoReturn:
        super().error(visible(message))


def _truth(text: str) -> bool:
    """Read yes or no as the host does, whose words the message has."""
    if text.lower() not in ("yes", "true", "t", "y", "1", "no", "false", "f", "n", "0"):
        kinds = "yes/no, true/false, t/f, y/n, 1/0 (case insensitive)"
        raise ArgumentTypeError(f"Truthy value expected: got {text} but expected one of {kinds}.")
    return text.lower() in ("yes", "true", "t", "y", "1")


_KINDS = {"int": int, "float": float, "string_to_bool": _truth}
"""What values can be checked without the host; the few options with a class of the host's are left to it."""


def _words_of_file(file: Path, options: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write a file's options as the command line would have them, so that both are checked alike."""
    import yaml

    try:
        text = file.read_text(encoding="utf-8")
        values = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from None
    except (ValueError, yaml.YAMLError) as error:
        kind = "JSON" if file.suffix == ".json" else "YAML"
        raise CommandError(f"{file}: must be {kind}: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise CommandError(f"{file}: must hold options and their values, got {text.strip()[:40]!r}")
    # Of an option and the one that switches it off the first has the default.
    defaults = {option["dest"]: option.get("default") for option in reversed(options)}
    for name, value in values.items():
        if value is None and defaults.get(name) is not None:
            raise CommandError(
                f"{file}: {name} must have a value, got none: leave it away for its default, {defaults[name]}"
            )
    return [word for name, value in values.items() if value is not None for word in _words_of(name, value)]


def _words_of(name: str, value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [f"--{name}", *(json.dumps(one) if isinstance(one, dict) else str(one) for one in values)]


def _write_table() -> None:
    from modeling_bert_crf.training.arguments import option_parser

    rows = ",\n".join(json.dumps(option) for option in describe(option_parser()))
    text = f'{{"transformers": "{version("transformers")}", "options": [\n{rows}\n]}}\n'
    TABLE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    _write_table()
