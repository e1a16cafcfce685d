"""``b2d doctor``, that is ``python -m worker.doctor``: checks a CARLA installation and this machine, and says what to fix.

It looks and tells; see ``checks.py`` for what it looks at. A worker does not need it: it refuses by itself what cannot be.
"""

from __future__ import annotations

import json
from typing import Any, List

import click

from . import checks, gpu
from .checks import BAD, WARN, Finding


@click.command(context_settings={"show_default": True, "max_content_width": 110})
@click.option("--carla-root", envvar="CARLA_ROOT", type=click.Path(), help="CARLA's folder; also $CARLA_ROOT.")
@click.option("--run-dir", envvar="B2D_RUN_DIR", type=click.Path(), help="As of b2d-worker; also $B2D_RUN_DIR.")
@click.option("--json", "as_json", is_flag=True, help="For programs: all findings, and all that is known of the GPUs.")
def main(carla_root: str | None, run_dir: str | None, as_json: bool) -> None:
    """Check a CARLA installation and this machine for b2d-worker --backend carla, and say what to fix.

    Each line is ok, warn (may be what you want) or bad. Exit code 1: something is bad.
    """
    survey = gpu.survey()
    findings = examine(carla_root, run_dir, survey)
    if as_json:
        told: Any = {"findings": [finding._asdict() for finding in findings], "gpus": json.loads(survey.to_json())}
        click.echo(json.dumps(told, indent=1))
    else:
        click.echo(report(findings))
    raise SystemExit(1 if any(finding.level == BAD for finding in findings) else 0)


def examine(carla_root: str | None, run_dir: str | None, survey: gpu.Survey) -> List[Finding]:
    """All findings, in the order in which they are best mended."""
    return [
        *checks.installation(carla_root),
        *checks.user(),
        *checks.graphics(survey),
        *checks.port_blocks(),
        *checks.memory(),
        *checks.limits(),
        *checks.run_place(run_dir),
    ]


def report(findings: List[Finding]) -> str:
    """The findings as text, and one line that sums them up."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.level:<4}  {finding.about:<13}  {finding.words}")
        if finding.advice:
            lines.append(f"{'':<4}  {'':<13}  -> {finding.advice}")
    bad, warn = (sum(finding.level == level for finding in findings) for level in (BAD, WARN))
    lines.append(f"{bad} bad, {warn} warnings: " + ("workers will not run CARLA here" if bad else "CARLA can run here"))
    return "\n".join(lines)


if __name__ == "__main__":
    main(prog_name="b2d doctor")
