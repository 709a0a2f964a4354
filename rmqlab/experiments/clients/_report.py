"""The report: one page that needs no network and no other file."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rmqlab.experiments.clients._figures import plot_rates, to_svg
from rmqlab.experiments.clients._frames import summarize
from rmqlab.experiments.clients._runner import Outcome, missing
from rmqlab.experiments.clients._suites import FAIR
from rmqlab.experiments.clients._tables import cells, finding, headings

if TYPE_CHECKING:
    import pandas as pd

CSV = "bench.csv"


def write_report(
    outcomes: Sequence[Outcome], frame: pd.DataFrame, facts: Mapping[str, str | int], folder: Path
) -> Path:
    """Write the page, and the runs beside it.

    Args:
        outcomes: what came of each suite.
        frame: all runs, from `to_frame`.
        facts: from `environment`.
        folder: where to write; is made.

    Returns:
        The page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / CSV, index=False)
    page = folder / "index.html"
    page.write_text(_page(outcomes, frame, facts), encoding="utf-8")
    return page


def _section(outcome: Outcome, summary: pd.DataFrame) -> str:
    suite = outcome.suite
    failures = "".join(f"<p class=failure>{html.escape(each)}.</p>" for each in outcome.failures)
    if summary.empty:
        return f"<h2>{html.escape(suite.title)}</h2>{failures}"
    found = html.escape(finding(summary, suite), quote=True)
    figure = to_svg(plot_rates(summary, suite)).replace("<svg ", f'<svg role="img" aria-label="{found}" ', 1)
    return f"""<h2 id="{suite.name}">{html.escape(suite.title)}</h2>
<p>{html.escape(suite.method)}</p>
{failures}
<figure>{figure}</figure>
{_table(outcome, summary)}
"""


def _table(outcome: Outcome, summary: pd.DataFrame) -> str:
    titles = headings(outcome.suite)
    head = "".join(f"<th>{html.escape(each)}</th>" for each in titles)
    rows = []
    group = ""
    for row in summary.itertuples():
        if row.group != group:
            group = str(row.group)
            rows.append(f'<tr class=group><th colspan="{len(titles)}">{html.escape(group)}</th></tr>')
        rows.append("<tr>" + "".join(f"<td>{html.escape(each)}</td>" for each in cells(row)) + "</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _page(outcomes: Sequence[Outcome], frame: pd.DataFrame, facts: Mapping[str, str | int]) -> str:
    suites = [each.suite for each in outcomes]
    summary = summarize(frame, suites)
    sections = "".join(_section(each, summary[summary["suite"] == each.suite.name]) for each in outcomes)
    versions = frame.drop_duplicates("library").sort_values("library")
    libraries = ", ".join(f"{row.library} {row.version}" for row in versions.itertuples())
    absent = missing(suites)
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>rmqlab bench</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }}
  h2 {{ margin-top: 3rem; }}
  figure {{ margin: 1rem 0; }}
  figure svg {{ max-width: 100%; height: auto; }}
  table {{ border-collapse: collapse; font-size: 14px; }}
  th, td {{ padding: .25rem 0 .25rem 1rem; border-bottom: 1px solid #ddd; text-align: right; }}
  th {{ vertical-align: bottom; max-width: 9rem; }}
  td {{ white-space: nowrap; font-variant-numeric: tabular-nums; }}
  th:first-child, td:first-child {{ text-align: left; padding-left: 0; }}
  .group th {{ padding-top: 1rem; max-width: none; }}
  .failure {{ color: #a40000; }}
</style>
<h1>rmqlab bench</h1>
<p>RabbitMQ {html.escape(str(facts["rabbitmq"]))} ({html.escape(str(facts["source"]))}),
Python {facts["python"]}, {facts["cores"]} cores, {facts["date"]}; {html.escape(libraries)}.
{_rounds(frame)} All runs: <a href="{CSV}">{CSV}</a>.</p>
{f"<p>{html.escape(absent)}.</p>" if absent else ""}
<details><summary>What is compared, and how</summary>
<ul>{"".join(f"<li>{html.escape(each)}</li>" for each in FAIR)}</ul></details>
{sections}
</html>
"""


def _rounds(frame: pd.DataFrame) -> str:
    if frame.empty:
        return ""
    rounds, seconds = frame["round"].max(), frame["seconds"].median()
    return f"Up to {rounds} rounds, half of the runs longer than {seconds:.1f} s."
