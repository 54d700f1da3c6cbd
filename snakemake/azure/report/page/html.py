"""The page as one HTML file: template, style, script, and the library that draws, all in it.

Vega comes with Snakemake, whose own reports use it, so that nothing has to be installed or fetched. What a journal or a
log says is text everywhere: Jinja escapes it, JSON in the page has no `<`, and the script sets texts. Even if one got
through, it could not run, nor send anything: the page allows its own scripts alone, by their hashes, and no requests.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from snakemake.azure.report.target import MARK

VEGA = "vega/vega.js"
SPECS = ("timeline", "slots")


def html(told: Mapping[str, Any]) -> str:
    """The page that says what `contents` has made."""
    from snakemake.assets import Assets

    vega, script = _script(Assets.get_content(VEGA)), _script(_file("page.js"))
    specs = {name: json.loads(_file(f"{name}.vega.json")) for name in SPECS}
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(_file("page.html.j2"))
    return template.render(
        told,
        mark=MARK,
        style=_file("page.css"),
        data=_json({"drawing": told["drawing"], "specs": specs}),
        vega=vega,
        vega_version=Assets.get_version(VEGA),
        script=script,
        hashes=" ".join(_hash(each) for each in (vega, script)),
    )


def _file(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _json(value: object) -> str:
    """As the text of a script element, which must not end it."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _script(source: str) -> str:
    return source.replace("</script", "<\\/script")


def _hash(script: str) -> str:
    """As a content security policy has it, https://www.w3.org/TR/CSP3/#framework-directive-source-list"""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
