"""The report of a run: one HTML file that needs no network.

`contents` makes, from what the core of `snakemake.azure.report` finds in a journal, all that the page says, as plain
values; `html` puts them into `page.html.j2`, with the style, the script, and Vega, which draws `timeline.vega.json` and
`slots.vega.json` (docs/decisions/0040-the-report.md).
"""
