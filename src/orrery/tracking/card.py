"""The model card: what a version is, what it was made from, how well it does and where it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def model_card(
    *,
    system: str,
    variant: str,
    summary: str,
    run: Mapping[str, str],
    data: Mapping[str, str],
    metrics: Mapping[str, Mapping[str, float]],
    gate: Mapping[str, object],
    limits: Sequence[str],
) -> str:
    """A model card in Markdown; equal facts give equal text.

    Args:
        system: what the model does, as on the command line.
        variant: which network of the system.
        summary: what goes in, what comes out, for whom; a paragraph.
        run: facts of the training, e.g. run id, commit, steps, seed.
        data: facts of the data, e.g. md5 of data.dvc, scenes, twin or real.
        metrics: scene or terrain kind -> metric with its unit -> value.
        gate: the gate's verdict; its key ``passed`` is told first.
        limits: known failures and what the model must not be used for.
    """
    sections = [
        f"# {system}: {variant}\n\n{summary.strip()}",
        "## Evaluation on the frozen test set\n\n" + _table(metrics),
        f"## Gate of the inputs\n\nPassed: {'yes' if gate.get('passed') is True else 'no'}",
        "## Limits\n\n" + "\n".join(f"- {limit}" for limit in limits),
        "## Training\n\n" + _facts(run),
        "## Data\n\n" + _facts(data),
    ]
    return "\n\n".join(sections) + "\n"


def _facts(facts: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())


def _table(rows: Mapping[str, Mapping[str, float]]) -> str:
    columns = sorted({column for row in rows.values() for column in row})
    lines = ["| |" + "".join(f" {column} |" for column in columns), "|---|" + "---|" * len(columns)]
    for name, row in rows.items():
        cells = (f" {row[column]:.4g} |" if column in row else " |" for column in columns)
        lines.append(f"| {name} |" + "".join(cells))
    return "\n".join(lines)
