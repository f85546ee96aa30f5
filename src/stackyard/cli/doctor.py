"""``stackyard doctor``: what this machine can run and what is missing, in plain words. Changes nothing."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from stackyard import stacks, workloads
from stackyard.counting import count
from stackyard.errors import NotRunnableError, StackyardError
from stackyard.launch import installed
from stackyard.launch.deployment import Deployment, Premises
from stackyard.machine import data, docker_engine, hardware
from stackyard.machine.hardware import Machine
from stackyard.scenarios.shape import WHOLE_MACHINE
from stackyard.settings import Settings
from stackyard.stacks import derived, indexes, pythons
from stackyard.stacks.definition import StackSpec
from stackyard.workloads import packages

app = typer.Typer(pretty_exceptions_enable=False)

_PACKAGES = "Packages of workloads"
#: States of a finding, and the mark each gets.
_MARKS = {"ok": "[green]ok[/]", "missing": "[yellow]--[/]", "no": "[red]no[/]", "info": "  "}


@dataclass(frozen=True)
class Finding:
    """One thing the doctor looked at."""

    section: str
    name: str
    #: "ok", "missing" (something helps), "no" (nothing does, here), or "info".
    state: str
    text: str
    #: The command that helps.
    command: str | None = None


@app.callback(invoke_without_command=True)
def doctor(
    online: Annotated[
        bool,
        typer.Option(
            "--online", help="Also ask package indexes whether unbuilt stacks can be had (no downloads)."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Say what this machine can run and what is missing; exit status 0 if the default stack can run."""
    settings = Settings.from_environment()
    defined = stacks.load()
    machine = hardware.this_machine()
    ready = stacks.DEFAULT in defined and stacks.python_of(defined[stacks.DEFAULT], settings) is not None
    findings = [
        *_machine(machine, settings),
        *(_stack(stack, settings, machine, online) for stack in defined.values()),
        *(Finding("Stacks", name, "no", reason) for name, reason in derived.faults(settings).items()),
        *_deployments(Premises(settings, defined, machine)),
        *_workloads(),
        *_data(settings),
        *_tools(),
    ]
    if as_json:
        value: dict[str, Any] = {
            "ready": ready,
            "machine": dataclasses.asdict(machine),
            "findings": [dataclasses.asdict(finding) for finding in findings],
        }
        typer.echo(json.dumps(value, indent=1))
    else:
        _print(findings, ready)
    if not ready:
        raise typer.Exit(1)


def _print(findings: list[Finding], ready: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    section = ""
    for finding in findings:
        if finding.section != section:
            section = finding.section
            console.print(f"\n[bold]{section}[/]")
        console.print(f"  {_MARKS[finding.state]} {escape(finding.name)}: {escape(finding.text)}")
        if finding.command:
            console.print(f"       -> {escape(finding.command)}")
    console.print()
    broken = [f.name for f in findings if f.section == _PACKAGES and f.state == "no"]
    if ready:
        without = f" that name no workload of {', '.join(broken)}" if broken else ""
        console.print(f"This machine can run scenarios{escape(without)} on the default stack.")
    else:
        console.print("Not ready: the default stack is not built. -> stackyard stack build")


def _machine(machine: Machine, settings: Settings) -> list[Finding]:
    section = "This machine"
    cores = count(machine.cores, "core")
    if machine.usable_cores < machine.cores:
        cores += (
            f", {machine.usable_cores:g} usable (affinity {machine.affinity_cores}, quota {_quota(machine)})"
        )
    ram = machine.usable_ram_bytes
    findings = [
        Finding(section, "processor", "info", f"{machine.cpu_model or 'unknown model'}, {cores}"),
        Finding(section, "memory", "info", f"{ram / 2**30:.1f} GiB usable" if ram else "size not known"),
        Finding(section, "system", "info", machine.system),
    ]
    support = hardware.limits_possible(machine)
    if support.mechanism is None:
        findings.append(Finding(section, "hardware limits", "no", f"cannot be held: {support.why_not}"))
    elif support.fractions:
        findings.append(
            Finding(section, "hardware limits", "ok", f"cores, fractions and RAM by {support.mechanism}")
        )
    else:
        helps = "run as root, or: systemd-run --user --scope -p Delegate=yes stackyard ..."
        text = f"{support.mechanism}: {support.why_not}"
        findings.append(Finding(section, "hardware limits", "missing", text, helps))
    for gpu in machine.gpus:
        memory = f"{gpu.memory_bytes / 2**30:.0f} GiB" if gpu.memory_bytes else "memory not known"
        text = (
            f"{gpu.name}, {memory}, compute capability {gpu.capability or 'not known'}, driver {gpu.driver}"
        )
        findings.append(Finding(section, f"GPU {gpu.index}", "ok", text))
    if not machine.gpus:
        findings.append(Finding(section, "GPU", "info", f"none: {machine.gpu_obstacle}; CPU scenarios run"))
    free = hardware.disk_free_bytes(settings.home)
    findings.append(Finding(section, "disk", "info", f"{free / 1e9:.0f} GB free at {settings.home}"))
    return findings


def _quota(machine: Machine) -> str:
    return "none" if machine.quota_cores is None else f"{machine.quota_cores:g}"


def _stack(stack: StackSpec, settings: Settings, machine: Machine, online: bool) -> Finding:
    section = "Stacks"
    if stacks.python_of(stack, settings) is not None:
        gpu = ""
        if stack.capability_range is not None:
            obstacle = stacks.why_not(stack, settings, machine, gpus=1)
            gpu = f"; on the CPU only ({obstacle})" if obstacle else "; on CPU and GPU"
        return Finding(section, stack.name, "ok", f"built{gpu}")
    command = f"stackyard stack build {stack.name}"
    try:
        python = pythons.find(stack.python)
    except NotRunnableError as error:
        return Finding(section, stack.name, "missing", f"not runnable: {error}")
    if online and stack.torch is not None and stack.base is None:
        try:
            source = indexes.choose(stack, python, None)
        except StackyardError as error:
            return Finding(section, stack.name, "no", f"not runnable: {error}")
        size = f", {source.bytes / 1e6:,.0f} MB" if source.bytes else ""
        where = "pip's default index" if source.index == "default" else indexes.without_login(source.index)
        return Finding(section, stack.name, "missing", f"can be built: {where} has it{size}", command)
    if not stacks.can_be_built(stack, settings):
        reason = stacks.why_not(stack, settings, machine)
        return Finding(section, stack.name, "no", f"not runnable: {reason}", f"try again: {command}")
    size = f", about {stack.installed_bytes / 1e9:.1f} GB" if stack.installed_bytes else ""
    return Finding(section, stack.name, "missing", f"can be built: Python at {python}{size}", command)


def _deployments(premises: Premises) -> list[Finding]:
    """How runs may be started here, on the default stack."""
    section = "Deployments"
    findings = []
    for name in installed.names():
        try:
            deployment = installed.named(name)(premises)
        except StackyardError as error:
            findings.append(Finding(section, name, "no", str(error)))
            continue
        if not deployment.elsewhere:  # it is ready where the stack is, which has a line of its own
            findings.append(Finding(section, name, "ok", deployment.about))
        elif stacks.DEFAULT in premises.stacks:
            findings.append(_elsewhere(deployment))
    obstacle = docker_engine.obstacle()
    words = "answers" if obstacle is None else f"none: {obstacle}"
    findings.append(Finding(section, "Docker Engine", "ok" if obstacle is None else "info", words))
    return findings


def _elsewhere(deployment: Deployment) -> Finding:
    section = "Deployments"
    reason = deployment.why_not(stacks.DEFAULT, WHOLE_MACHINE, 1)
    if reason is None:
        ready = f"a worker serves queue {deployment.queue(0)}"
        if not deployment.needs_server:
            ready = f"{deployment.about}, in {deployment.queue(0)}"
        return Finding(section, deployment.name, "ok", ready)
    found = re.search(r"`([^`]+)`|build it: (.+)", reason)
    command = (found[1] or found[2]) if found else None
    return Finding(section, deployment.name, "missing", f"not runnable: {reason}", command)


def _workloads() -> list[Finding]:
    """The packages of workloads, and why one cannot be used: whatever names none of its workloads runs all the same."""
    catalogue, findings = workloads.load(), []
    for package in packages.found():
        fault = package.fault
        for name in package.declared:
            reason = catalogue.why_not(name)
            if fault is None and reason is not None:
                fault = f"workload {name!r} cannot be run: {reason}"
        state = "ok" if fault is None else "no"
        findings.append(Finding(_PACKAGES, package.name, state, fault or ", ".join(package.declared)))
    return findings


def _data(settings: Settings) -> list[Finding]:
    section = "Data sets"
    counts = {known.name: (data.here(known, settings.data), len(known.files)) for known in data.known()}
    whole = [name for name, (here, wanted) in counts.items() if here == wanted]
    partly = [
        f"{name} ({here} of {count(wanted, 'file')})"
        for name, (here, wanted) in counts.items()
        if 0 < here < wanted
    ]
    absent = [name for name, (here, _wanted) in counts.items() if not here]
    state = "" if settings.data.is_dir() else " (not there yet)"
    findings = [Finding(section, "folder", "info", f"{settings.data}{state}; simulated data needs none")]
    if whole:
        findings.append(Finding(section, "here", "ok", ", ".join(whole)))
    if partly or absent:
        text = ", ".join(partly + absent)
        findings.append(Finding(section, "not here", "missing", text, "stackyard data fetch NAME"))
    return findings


def _tools() -> list[Finding]:
    if shutil.which("git"):
        return [Finding("Tools", "git", "ok", "records name the version of the code")]
    text = "not found: records cannot name the version of the code"
    return [Finding("Tools", "git", "missing", text, "apt install git")]
