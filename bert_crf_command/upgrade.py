"""`bert-crf upgrade`: the folder of an older version gets today's code and configuration."""

from pathlib import Path
from typing import Annotated

import typer

from .frame import CommandError, Verbose, in_one_sentence, say, verb

__all__ = ["COMMAND", "upgrade"]

Folder = Annotated[Path, typer.Argument(metavar="MODEL", help="A finished tagger: its folder.")]
HELP = """\
Give the folder of a tagger of an older version today's code and configuration.

[bold]bert-crf upgrade runs/mine[/bold]

The weights are not touched. Before anything is replaced, the tagger is opened as it was and as it will be, and both
must say the same of a few texts: the same scores, paths and entities. The code in the folder is not run. All files are
replaced at once, or none.

[bold]Exit codes:[/bold]

[cyan]0[/cyan] done, or the folder is as today's version would write it.
[cyan]1[/cyan] the tagger or the folder is at fault, and one sentence says how; the folder is as it was.
[cyan]2[/cyan] the command is wrong.
"""


def upgrade(folder: Folder, verbose: Verbose = False) -> None:
    """Give a folder today's code and configuration, as `HELP` says."""
    from modeling_bert_crf.doors.files import replaced
    from modeling_bert_crf.doors.lock import FolderInUseError, locked
    from modeling_bert_crf.opening.tagger import OpeningError, quiet
    from modeling_bert_crf.opening.upgrading import write_upgraded
    from modeling_bert_crf.training.output_folder import UNFINISHED

    with in_one_sentence("upgrade", FolderInUseError, OpeningError, OSError, verbose=verbose):
        if not folder.is_dir():
            raise CommandError(
                f"{folder}: must be a folder; `hf download NAME --local-dir FOLDER` makes one of a repository"
            )
        if (folder / UNFINISHED).exists():
            raise CommandError(f"{folder}: must be finished, and its run is not: go on with it first")
        with quiet(), locked(folder), replaced(folder.resolve()) as place:
            changed = write_upgraded(folder.resolve(), place)
    if not changed:
        say(f"{folder} is as today's version would write it: nothing is replaced")
        return
    say(f"{folder}: {len(changed)} files of code and configuration are replaced, and the old ones gone")
    say("the weights are as they were, and the tagger says the same of the texts that it was asked")


COMMAND = verb(upgrade, HELP)
