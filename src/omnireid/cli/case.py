"""`omnireid case`: check exported cases, and make them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import print_json, print_rows, stdout
from omnireid.cli.gallery_options import GalleryUri, open_gallery, printed_time
from omnireid.core.errors import InputError
from omnireid.core.files import write_text

app = options.App(help="Cases: check exported files, list and export.", no_args_is_help=True)

_FAILED = 1


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="An exported case.")],
    gallery: Annotated[
        str | None,
        typer.Option("--gallery", "-g", help="Also ask this gallery whether it exported the file."),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Say whether an exported case is as it was. Exit code 1 where it is not."""
    from omnireid.gallery.case_export import check_file

    try:
        content = file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not an exported case (not text in UTF-8)") from error
    if gallery is None:
        check = check_file(content, [])
    else:
        with open_gallery(gallery) as opened:
            check = check_file(content, [opened])
    here, case = check.exported_here, check.payload["case"]
    if as_json:
        print_json(
            {
                "is_unchanged": check.is_unchanged,
                "sha256": check.sha256,
                "stated": check.stated,
                "is_own_page": check.is_own_page,
                "exported_here": None if here is None else {"time": here.time, "actor": here.actor},
                "payload": {name: value for name, value in check.payload.items() if name != "pictures"},
            }
        )
    else:
        stdout.print(
            "unchanged" if check.is_unchanged else "CHANGED since it was exported; do not rely on it"
        )
        stdout.print(f"sha256    {check.sha256}")
        if not check.is_unchanged:
            stdout.print(f"stated    {check.stated}")
        stdout.print(f"case      {case['title']}")
        stdout.print(f"exported  {check.payload['exported']} by {check.payload['exported_by']}")
        stdout.print(f"entries   {len(check.payload['entries'])}")
        if not check.is_own_page:
            stdout.print(
                "page      not as this version of omnireid writes it: the file may show something else than "
                "it holds; look at it on a server's page (Cases, Check a file)"
            )
        if gallery is not None:
            said = "no: this gallery's audit log does not hold this hash"
            if here is not None:
                said = f"here on {printed_time(here.time)} by {here.actor}"
            stdout.print(f"origin    {said}")
        else:
            stdout.print("origin    unknown: only the gallery that exported it can tell (--gallery)")
    if not check.is_unchanged or (gallery is not None and here is None):
        raise typer.Exit(_FAILED)


@app.command("list")
def list_cases(gallery: GalleryUri, as_json: options.AsJson = False) -> None:
    """List the cases of a gallery, the latest first."""
    with open_gallery(gallery) as opened:
        cases = opened.cases.all()
    columns = ("id", "title", "entries", "created", "created_by", "ends", "closed")
    rows = [
        (
            each.id,
            each.title,
            each.entries,
            printed_time(each.created),
            each.created_by,
            printed_time(each.ends),
            "" if each.closed is None else printed_time(each.closed),
        )
        for each in cases
    ]
    print_rows(columns, rows, as_json=as_json)


@app.command()
def export(
    case: Annotated[str, typer.Argument(help="Id of the case.")],
    out: Annotated[Path, typer.Argument(help="The HTML file to write.")],
    gallery: GalleryUri,
) -> None:
    """Write a case as one HTML file; its hash goes into the audit log."""
    with open_gallery(gallery) as opened:
        exported = opened.cases.export(case)
    write_text(out, exported.content)
    stdout.print(f"{out}: sha256 {exported.sha256}")
