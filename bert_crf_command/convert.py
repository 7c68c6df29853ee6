"""`bert-crf convert`: labelled data from one format into another."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .formats import Consistent, OutputFormat
from .frame import CommandError, in_one_sentence, say, verb
from .labelled import Annotator, DataFormat, Overlap, check_format

if TYPE_CHECKING:  # since importing these takes seconds
    from modeling_bert_crf.readers.documents import Document
    from modeling_bert_crf.readers.marks import Ask

__all__ = ["COMMAND", "convert"]

_ENDINGS = {".jsonl": "jsonl", ".conll": "conll", ".tsv": "conll", ".spacy": "docbin"}
_WRITTEN = [form.value for form in OutputFormat if form not in (OutputFormat.TERMINAL, OutputFormat.HTML)]


In = Annotated[Path, typer.Argument(metavar="IN", help="Labelled data: a file, or a folder of brat's.")]
Out = Annotated[
    Path, typer.Argument(metavar="OUT", help="A file, or for `brat` a new folder. `-` is standard output.")
]
Form = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help=f"What is written: {', '.join(_WRITTEN)}. If not given, what the ending of OUT says.",
    ),
]
OnOverlap = Annotated[
    Overlap,
    typer.Option(
        "--on_overlap",
        help="`conll`, `spacy` and `docbin` hold no entities that overlap: refuse them, or keep one of them.",
    ),
]
Repair = Annotated[
    bool, typer.Option("--repair_tags", help="Read a tag that continues nothing as the opening of an entity.")
]
AtBlanks = Annotated[
    bool,
    typer.Option(
        "--split_at_blanks",
        help="Take what stands between blanks for words, and lines for sentences. So what `convert` has made of words "
        "and tags becomes the same words and tags again.",
    ),
]
Words = Annotated[
    str | None,
    typer.Option("--text_column_name", metavar="COLUMN", help="The column of words, or of texts, as in training."),
]
Tags = Annotated[
    str | None,
    typer.Option("--label_column_name", metavar="COLUMN", help="The column of tags, or of spans, as in training."),
]
Documents = Annotated[
    str | None,
    typer.Option(
        "--document_column_name", metavar="COLUMN", help="The column that says which document a sentence is from."
    ),
]

HELP = """\
Write labelled data in another format.

[bold]bert-crf convert train.conll tasks.json --format label-studio[/bold]
[bold]bert-crf convert folder train.jsonl[/bold]

[bold]In:[/bold] what `bert-crf train` reads: texts with spans, or words and tags. Of the latter, words of a sentence
are joined by blanks, so that whoever splits the text at blanks finds them again; sentences between two borders of
documents (`-DOCSTART-`) are one text, a line each. Without such borders each sentence is a text.

[bold]Out:[/bold] as `bert-crf tag` writes it, whole or not at all.

[cyan]jsonl doccano prodigy label-studio gliner[/cyan] keep a document's id and what else the input says of it.
[cyan]brat pubtator[/cyan] keep the id.
[cyan]conll[/cyan]: tags in IOB2. Words and sentences are those that IN names, else they are found by Unicode's rules;
a word is cut where an entity ends within it.
[cyan]label-studio[/cyan]: OUT.xml is the labelling configuration of the project.

What is not known of IN stays so: words with the tag `_` are outside of the regions that `reviewed` lists beside a
text, and the other way round.

[bold]Exit codes:[/bold]

[cyan]0[/cyan] done.
[cyan]1[/cyan] IN or OUT is at fault, and one sentence says how.
[cyan]2[/cyan] the command is wrong.
"""


def convert(
    source: In,
    target: Out,
    form: Form = None,
    data_format: DataFormat = None,
    annotator: Annotator = "error",
    consistent: Consistent = False,
    on_overlap: OnOverlap = Overlap.ERROR,
    split_at_blanks: AtBlanks = False,
    repair_tags: Repair = False,
    word_column: Words = None,
    tag_column: Tags = None,
    document_column: Documents = None,
) -> None:
    """Write labelled data in another format, as `HELP` says."""
    name = _format(target, form)
    if consistent and name != OutputFormat.REDACTED:
        raise typer.BadParameter(f"--consistent is for --format redacted, got {name}")
    path = None if str(target) == "-" else target

    from modeling_bert_crf.readers.marks import Ask
    from modeling_bert_crf.readers.sentences import DataError
    from modeling_bert_crf.writers.formats import Options
    from modeling_bert_crf.writers.merging import at_blanks

    from .outputs import check_output, write_labelled

    counts: Counter[str] = Counter()
    with in_one_sentence("convert", DataError):
        check_output(name, path)
        ask = Ask(word_column, tag_column, annotator)
        documents = _documents(source, data_format, ask, document_column, repair_tags)
        if split_at_blanks:
            documents = map(at_blanks, documents)
        options = Options(consistent=consistent, on_overlap=on_overlap.value)
        second = write_labelled(_counted(documents, counts, source, name), name, path, options)
    texts = counts.pop("")
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(counts.items()))
    found = f"{texts:,} {'text' if texts == 1 else 'texts'}, {counts.total():,} entities" + f": {kinds}" * bool(kinds)
    say(f"{target}: {found}" if path else found, err=path is None)
    for line in ask.account.lines():
        say(line, err=True)
    if second is not None:
        say(f"{second}: the labelling configuration of these tasks")


def _format(target: Path, asked: str | None) -> str:
    if asked is not None and asked not in _WRITTEN:
        raise typer.BadParameter(f"--format must be one of {', '.join(_WRITTEN)}, got {asked}")
    name = asked or _ENDINGS.get(target.suffix.lower())
    if name is None:
        raise typer.BadParameter(f"{target}: must end in {', '.join(_ENDINGS)}, or --format must say what to write")
    return name


def _documents(
    source: Path, data_format: str | None, ask: "Ask", document_column: str | None, repair_tags: bool
) -> "Iterator[Document]":
    """Read texts with spans as they come; words and tags all at once, since only then their scheme is known."""
    from modeling_bert_crf.readers.files import read_file
    from modeling_bert_crf.readers.formats import OF_SENTENCES, find_format, read_documents
    from modeling_bert_crf.readers.labelled import understand
    from modeling_bert_crf.writers.merging import documents_of_sentences

    check_format(data_format)
    name = find_format(source, data_format, ask)
    if name not in OF_SENTENCES:
        return read_documents(source, name, ask)
    sentences = read_file(source, ask.text_column, ask.label_column, None, document_column, name)
    labelled = understand(sentences, repair_tags=repair_tags)
    return documents_of_sentences(labelled.sentences, labelled.scheme, document_column is None)


def _counted(documents: "Iterable[Document]", counts: Counter[str], source: Path, name: str) -> "Iterator[Document]":
    """Pass documents on to a format, and count them, as "", and the entities of each type."""
    from modeling_bert_crf.writers.formats import FORMATS

    for document in documents:
        if document.reviewed is not None and not FORMATS[name].regions:
            holding = ", ".join(one for one, form in FORMATS.items() if form.regions)
            raise CommandError(
                f"{document.where}: a text that is annotated in part must be written in a format that says which "
                f"regions are reviewed, one of {holding}, got {name}"
            )
        counts[""] += 1
        counts.update(one.kind for one in document.annotations)
        yield document
    if not counts:
        raise CommandError(f"{source}: must hold at least one labelled text, got none")


COMMAND = verb(convert, HELP)
