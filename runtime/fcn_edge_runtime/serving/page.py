"""The page at `/`, where a picture can be tried, and the description of the paths by OpenAPI."""

from __future__ import annotations

import html
from typing import Any

from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.serving.options import ServeOptions

__all__ = ["openapi", "page"]

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; }}
img {{ max-width: 100%; border-radius: .5rem; }}
table {{ border-collapse: collapse; }}
td, th {{ padding: .15rem .75rem .15rem 0; text-align: left; }}
i.color {{ display: inline-block; width: 1em; height: 1em; border: 1px solid #888; vertical-align: -.15em; }}
[role=alert] {{ color: #a00; }}
code {{ background: #f2f2f5; padding: .1em .3em; border-radius: .25em; }}
</style>
<h1>{title}</h1>
<p>{description}</p>
<p><label for="picture">Picture</label> <input id="picture" type="file" accept="image/*"></p>
<p id="message" role="status" aria-live="polite"></p>
<p id="error" role="alert"></p>
<img id="result" alt="" hidden>
<table id="shares" hidden><caption>Share of each class</caption><tbody></tbody></table>
<h2>From programs</h2>
<p><code>curl --data-binary @picture.jpg '/segment?as=overlay' -o overlay.png</code><br>
<code>as=labels</code> is a PNG of class ids with the classes' colors,
<code>as=json</code> the share of each class.
Clients of the Open Inference Protocol: <code>/v2/models/{name}</code>.
All paths: <a href="openapi.json">openapi.json</a>; counters: <a href="metrics">metrics</a>.</p>
<script>
const get = id => document.getElementById(id);
get("picture").addEventListener("change", async event => {{
  const [file] = event.target.files;
  if (!file) return;
  get("error").textContent = "";
  get("message").textContent = "Segmenting " + file.name + " ...";
  try {{
    const ask = async form => {{
      const answer = await fetch("segment?as=" + form, {{ method: "POST", body: file }});
      if (!answer.ok) throw new Error((await answer.json()).error);
      return answer;
    }};
    const picture = await ask("overlay");
    URL.revokeObjectURL(get("result").src);
    get("result").src = URL.createObjectURL(await picture.blob());
    get("result").alt = "The classes of " + file.name;
    get("result").hidden = false;
    const found = await (await ask("json")).json();
    const size = `${{found.width}} x ${{found.height}}`;
    get("message").textContent = `${{size}}, ${{found.milliseconds}} ms of the network`;
    const body = get("shares").tBodies[0];
    body.replaceChildren(...found.classes.filter(entry => entry.pixels).map(entry => {{
      const row = document.createElement("tr");
      const color = document.createElement("i");
      color.className = "color";
      color.style.background = entry.color ? `rgb(${{entry.color.join()}})` : "transparent";
      row.insertCell().append(color);
      row.insertCell().textContent = entry.name;
      row.insertCell().textContent = (100 * entry.share).toFixed(1) + " %";
      return row;
    }}));
    get("shares").hidden = false;
  }} catch (error) {{
    get("message").textContent = "";
    get("error").textContent = error.message;
  }}
}});
</script>
</html>
"""


def page(card: Card, name: str) -> str:
    """The page as HTML."""
    return _PAGE.format(
        title=html.escape(card.name), description=html.escape(card.description or ""), name=html.escape(name)
    )


def openapi(card: Card, name: str, version: str, options: ServeOptions) -> dict[str, Any]:
    """The paths by OpenAPI 3.1."""
    image = {"image/*": {"schema": {"type": "string", "format": "binary"}}}
    refusals = {
        "400": {"description": "the body is not what the model takes; the answer says why"},
        "408": {"description": f"the body was not there within {options.seconds:g} s"},
        "413": {"description": f"the body has more than {options.max_bytes} bytes"},
        "503": {"description": "busy: try again after the seconds of Retry-After"},
    }
    segment = {
        "summary": f"Segment a picture into {len(card.classes)} classes",
        "parameters": [
            {
                "name": "as",
                "in": "query",
                "schema": {"type": "string", "enum": ["labels", "overlay", "json"], "default": "labels"},
            }
        ],
        "requestBody": {"required": True, "content": image},
        "responses": {
            "200": {
                "description": "class ids as a PNG with a palette, the overlay, or the share of each class",
                "content": {"image/png": {}, "application/json": {}},
            },
            **refusals,
        },
    }
    model = f"/v2/models/{name}"
    described: dict[str, Any] = {"200": {"description": "JSON of the Open Inference Protocol, version 2"}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": card.name,
            "version": version or "0",
            "license": {"name": card.license or "unknown"},
        },
        "paths": {
            "/segment": {"post": segment},
            "/v2": {"get": {"summary": "The server", "responses": described}},
            "/v2/health/live": {"get": {"summary": "Whether it answers", "responses": described}},
            "/v2/health/ready": {"get": {"summary": "Whether the self-test passed", "responses": described}},
            model: {"get": {"summary": "The model's tensors", "responses": described}},
            f"{model}/ready": {"get": {"summary": "Whether the self-test passed", "responses": described}},
            f"{model}/infer": {
                "post": {"summary": "Tensors in, tensors out", "responses": {**described, **refusals}}
            },
            "/metrics": {
                "get": {"summary": "Counters for Prometheus", "responses": {"200": {"description": "text"}}}
            },
        },
    }
