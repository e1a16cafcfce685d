"""``b2d keys`` and ``b2d release``: the commands of whoever runs a farm with keys."""

from __future__ import annotations

from pathlib import Path
from typing import Tuple

import click

from .client import Client
from .errors import RequestError
from .keys import allowed, create, load_broker
from .protocol import DEFAULT_ENDPOINT, Kind
from .roles import Role

_FIRST = tuple(role.value for role in Role)

_NEXT = """
For all on this machine:    export B2D_CURVE_DIR={folder}     (or --curve-dir, or curve_dir= in Python)
The broker, for others too: b2d-broker --bind tcp://0.0.0.0:5570 --curve-dir {folder}
A machine with workers:     copy broker.key and a worker's .key_secret file into a folder there, mode 0700
A machine with trainers:    copy broker.key and a client's .key_secret file
A key may not be used any more: delete its file in {folder}/allowed; the broker notices within a second
"""


@click.group()
def keys() -> None:
    """Make and list the keys by which a farm keeps strangers out."""


@keys.command("create")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.argument("names", nargs=-1)
def create_keys(folder: Path, names: Tuple[str, ...]) -> None:
    """Make the keys of a farm in FOLDER, or more of them.

    Without NAMES: one for the broker and one for each role, worker, client and admin. A name begins with a role: worker-gpu7, client-anna.
    Secret files are for their owner alone (mode 0600), and nothing is overwritten.

    \b
      b2d keys create ~/b2d-keys
      b2d keys create ~/b2d-keys worker-gpu7 client-anna
    """
    made = create(folder, names or _FIRST)
    click.echo(f"made {', '.join(made)} in {folder}")
    if not names:
        click.echo(_NEXT.format(folder=folder.absolute()))


@keys.command("list")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def list_keys(folder: Path) -> None:
    """Show whom the broker of FOLDER lets in; exit code 1 where something is wrong with a file."""
    holders, troubles = allowed(folder)
    click.echo(f"{'name':24} {'role':8} public key")
    for key, holder in sorted(holders.items(), key=lambda item: (item[1].role.value, item[1].name)):
        click.echo(f"{holder.name:24} {holder.role.value:8} {key}")
    if (folder / "broker.key_secret").exists():
        click.echo(f"{'broker':24} {'':8} {load_broker(folder).public}")
    if troubles:
        raise RequestError("\n".join(troubles))


@click.command()
@click.argument("leases", nargs=-1, required=True)
@click.option(
    "--endpoint", envvar="B2D_ENDPOINT", default=DEFAULT_ENDPOINT, show_default=True, help="The farm's broker; also $B2D_ENDPOINT."
)
@click.option("--curve-dir", envvar="B2D_CURVE_DIR", help="The folder with an admin's key; also $B2D_CURVE_DIR.")
def release(leases: Tuple[str, ...], endpoint: str, curve_dir: str | None) -> None:
    """End leases, whoever holds them; b2d status --json names them. Only an admin's key may do that, so the farm must have keys."""
    with Client(endpoint, timeout=5.0, curve_dir=curve_dir, role="admin") as client:
        ended = client.ask(Kind.RELEASE, {"leases": list(leases), "client": client.token})["released"]
    click.echo(f"released: {', '.join(ended) or 'none; they were over already'}")
