"""`ukdsl validate`: whether declarations and SQL models are sound, without logs, lake or graph."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ukdsl_assets.cli.common import console, hints, not_declared, read_settings, text_width
from ukdsl_assets.cli.completion import cascade_names
from ukdsl_assets.errors import DeclarationError, redacted

if TYPE_CHECKING:
    from ukdsl_assets.declaration.cascade import Cascade
    from ukdsl_assets.settings import Settings


def validate(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CASCADE|FILE.yaml]...",
            help="Declared cascades or files; your own if left out, all shipped ones if you have none.",
            autocompletion=cascade_names,
        ),
    ] = None,
) -> None:
    """Tell whether declarations and SQL models are sound; every message, and exit code 1 if there is one.

    The models are run on tables without a row. Not checked are the logs: `ukdsl check-logs` judges them.
    """
    from ukdsl_assets.declaration.examples import examples_chosen
    from ukdsl_assets.pipeline.validate import wrong_headers, wrong_models
    from ukdsl_assets.pipeline.workspace import Workspace

    settings = read_settings()
    chosen, wrong = _chosen(settings, names or [])
    try:
        examples_chosen(settings.examples, settings.cascades)
    except DeclarationError as error:
        wrong.append(str(error))
    headers = wrong_headers(settings)
    models: list[str] = []
    if not headers:
        workspace = Workspace.open(settings)
        for cascade in chosen:
            told = wrong_models(workspace, cascade)
            models += told
            verdict = f"{len(told)} SQL model(s) wrong" if told else "sound"
            console.print(f"{cascade.name} ({_parts(cascade)}): {verdict}", highlight=False)
    messages = [*wrong, *headers, *dict.fromkeys(models)]
    for message in messages:
        console.print(redacted(message), style="red", highlight=False, soft_wrap=True)
    if messages:
        console.print(f"{len(messages)} message(s); mend them and validate again.", highlight=False)
        raise typer.Exit(1)
    console.print(f"{len(chosen)} declaration(s) and {len(workspace.models)} SQL model(s) are sound.", highlight=False)
    if not chosen:
        hints.print(
            f"{settings.cascades} has no declaration yet: ukdsl init NAME makes one, or name a shipped one",
            highlight=False,
            soft_wrap=True,
        )
        return
    name = chosen[0].name
    not_checked = f"Not checked: the logs. ukdsl check-logs {name} --day DAY judges a day of them."
    hints.print(not_checked, highlight=False, width=text_width())


def _chosen(settings: "Settings", names: list[str]) -> "tuple[list[Cascade], list[str]]":
    """The sound declarations among those that are meant, and messages about the others.

    Raises:
        DeclarationError: a name of no cascade and no file.
    """
    from ukdsl_assets.declaration.cross_domain import check_cross_domain
    from ukdsl_assets.declaration.examples import is_shipped
    from ukdsl_assets.declaration.read import read_cascade
    from ukdsl_assets.declaration.sound import sound_cascades

    cascades, errors = sound_cascades(settings.cascades)
    wrong = [str(error) for error in errors]
    if not names:
        own = [each for each in cascades.values() if not is_shipped(each)]
        return (own if settings.cascades is not None else list(cascades.values())), wrong
    chosen, told = [], []
    for name in names:
        if name in cascades:
            chosen.append(cascades[name])
        elif name.lower().endswith((".yaml", ".yml")) or Path(name).is_file():
            try:
                cascade = read_cascade(name)
                check_cross_domain(cascades | {cascade.name: cascade}, [cascade])
            except DeclarationError as error:
                told.append(str(error))
            else:
                chosen.append(cascade)
        elif of_it := [message for message in wrong if _is_about(message, name)]:
            told += of_it
        else:
            raise DeclarationError(not_declared(f"no cascade and no file `{name}`", name, cascades))
    return chosen, told


def _is_about(message: str, name: str) -> bool:
    """Whether a message is about the declaration of this name: such a file is called so, or says so."""
    first = message.partition("\n")[0]
    return f"/{name}.y" in first or f"`name: {name}`" in first or f"cascade {name} " in first


def _parts(cascade: "Cascade") -> str:
    counts = {"stage": cascade.stages, "task": cascade.tasks, "teacher": cascade.teachers, "student": cascade.students}
    return ", ".join(f"{len(parts)} {name}{'s' * (len(parts) != 1)}" for name, parts in counts.items())
