"""`falconws asyncapi`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("asyncapi", short_help="Print or check the AsyncAPI document.")
@click.argument("app_path", metavar="[MODULE:ATTR]", required=False)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the document to this file.")
@click.option(
    "--html", "page", type=click.Path(path_type=Path, dir_okay=False), help="Write the document as an HTML page."
)
@click.option("--server", "servers", multiple=True, metavar="URL", help="URL of a server, such as wss://example.com.")
@click.option(
    "--check", "committed", type=click.Path(path_type=Path, dir_okay=False), help="Fail if this file is out of date."
)
@click.option("--breaking", is_flag=True, help="With --check: fail only if clients of the file would break.")
def command(
    app_path: str | None,
    output: Path | None,
    page: Path | None,
    servers: tuple[str, ...],
    committed: Path | None,
    breaking: bool,
) -> None:
    """Print the AsyncAPI 3.0 document of the project's typed conversations, or of the app MODULE:ATTR.

    \b
    Examples:
      falconws asyncapi
      falconws asyncapi --output asyncapi.json
      falconws asyncapi --html asyncapi.html
      falconws asyncapi --check asyncapi.json
      falconws asyncapi --check asyncapi.json --breaking
    """
    if breaking and committed is None:
        raise click.UsageError("--breaking compares with a file: give --check FILE too.")
    if committed is not None and (output is not None or page is not None or servers):
        raise click.UsageError("--check writes nothing: leave out --output, --html and --server.")
    for url in servers:
        if not url.startswith(("ws://", "wss://")):
            raise click.UsageError(f'--server "{url}": the URL of a WebSocket server starts with ws:// or wss://.')
    from falconws_cli import contract

    names = {f"server{number}" if number else "production": url for number, url in enumerate(servers)}
    document = contract.load_document(app_path, Path.cwd(), names)
    if committed is not None:
        contract.check(document, committed, breaking=breaking)
        return
    if output is not None:
        contract.write(contract.text_of(document), output)
    if page is not None:
        contract.write(contract.page_of(document), page)
    if output is None and page is None:
        click.echo(contract.text_of(document), nl=False)
