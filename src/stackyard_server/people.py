"""Who may come in, at the command line: users, their passwords and roles, and access keys."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from . import mounted
from .mounted import Folder, FromStdin, Json, Prompt, door, folder_of

Login = Annotated[str, typer.Argument(help="The user's login, id or name.", metavar="LOGIN")]
Role = Annotated[str, typer.Option("--role", help="admin, user or readonly.")]

users = typer.Typer(help="Who may come in.", no_args_is_help=True, pretty_exceptions_enable=False)
credentials = typer.Typer(
    help="Access keys for the SDK and agents.", no_args_is_help=True, pretty_exceptions_enable=False
)


@users.command("add")
def add_user(
    login: Login,
    name: Annotated[str | None, typer.Option(help="As others see it; default: the login.")] = None,
    role: Role = "user",
    prompt: Prompt = False,
    password_stdin: FromStdin = False,
    folder: Folder = None,
) -> None:
    """Add a user; without --prompt or --password-stdin a password is made and shown once."""
    with door() as admin:
        password, made = mounted.password(admin, prompt, password_stdin)
        admin.add_user(folder_of(folder), login, name, role, password)
    typer.echo(f"added {login} ({role})")
    if made:
        typer.echo(f"password, shown once: {password}")


@users.command("list")
def list_users(folder: Folder = None, as_json: Json = False) -> None:
    """Show every user."""
    with door() as admin:
        rows = admin.list_users(folder_of(folder))
    if as_json:
        typer.echo(json.dumps({"users": rows}, indent=1))
        return
    for row in rows:
        state = "  disabled" if row["disabled"] else ""
        typer.echo(
            f"{row['login'] or '-':20s} {row['role']:9s} {row['keys']:3d} keys  {row['name']}  {row['id']}{state}"
        )


@users.command("remove")
def remove_user(
    login: Login,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    folder: Folder = None,
) -> None:
    """Remove a user with their keys and sessions; what they made stays. Asks first."""
    if not yes and not typer.confirm(f"Remove {login}?", err=True):
        raise typer.Exit(1)
    with door() as admin:
        admin.remove_user(folder_of(folder), login)
    typer.echo(f"removed {login}")


@users.command("role")
def set_role(
    login: Login,
    role: Annotated[str, typer.Argument(help="admin, user or readonly.")],
    folder: Folder = None,
) -> None:
    """Give a user another role; their sessions end."""
    with door() as admin:
        admin.set_role(folder_of(folder), login, role)
    typer.echo(f"{login} is {role} now")


@users.command("disable")
def disable_user(login: Login, folder: Folder = None) -> None:
    """Lock a user out: sessions end at once, password and keys are refused."""
    with door() as admin:
        admin.disable_user(folder_of(folder), login)
    typer.echo(f"{login} is locked out")


@users.command("enable")
def enable_user(login: Login, folder: Folder = None) -> None:
    """Let a disabled user in again; ended sessions stay ended."""
    with door() as admin:
        admin.enable_user(folder_of(folder), login)
    typer.echo(f"{login} may come in again")


@users.command("end-sessions")
def end_sessions(login: Login, folder: Folder = None) -> None:
    """End every session of a user; password and keys stay good."""
    with door() as admin:
        admin.end_sessions(folder_of(folder), login)
    typer.echo(f"the sessions of {login} ended")


@users.command("password")
def set_password(
    login: Login, prompt: Prompt = False, password_stdin: FromStdin = False, folder: Folder = None
) -> None:
    """Give a user another password; their sessions end."""
    with door() as admin:
        password, made = mounted.password(admin, prompt, password_stdin)
        admin.set_password(folder_of(folder), login, password)
    typer.echo(f"{login} has another password" + (f", shown once: {password}" if made else ""))


@credentials.command("create")
def create_credentials(
    login: Login,
    label: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Make an access key; its secret is shown once."""
    with door() as admin:
        key = admin.add_credentials(folder_of(folder), login, label)
    if as_json:
        typer.echo(json.dumps(vars(key)))
    else:
        typer.echo(f"access key  {key.access_key}\nsecret key  {key.secret_key}  (shown once)")


@credentials.command("list")
def list_credentials(
    login: Annotated[
        str | None,
        typer.Argument(help="A user whose keys to show; without it those of all.", metavar="[LOGIN]"),
    ] = None,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Show access keys, never their secrets."""
    with door() as admin:
        rows = admin.list_credentials(folder_of(folder), login)
    if as_json:
        typer.echo(json.dumps({"credentials": rows}, indent=1))
        return
    for row in rows:
        used = f"used {row['last_used_at']}" if row["last_used_at"] else "never used"
        typer.echo(f"{row['access_key']}  {row['user']:20s} {used}  {row['label'] or ''}")


@credentials.command("revoke")
def revoke_credentials(
    access_key: Annotated[str, typer.Argument(metavar="KEY", help="The access key, not its secret.")],
    folder: Folder = None,
) -> None:
    """Take an access key away; tokens made with it end at once."""
    with door() as admin:
        admin.revoke_credentials(folder_of(folder), access_key)
    typer.echo(f"revoked {access_key}")
