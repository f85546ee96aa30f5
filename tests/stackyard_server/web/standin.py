"""A stand-in for a build of the official web app, made the way Angular's production builds are made.

Critical styles stand in the page, the rest comes as stylesheets "for print" that an ``onload`` attribute turns on;
there is a script in the page, modules with hashed names, a chunk that is loaded late, and a second build for the charts
that reports embed. What it does is what the app asks of a server: configuration, calls, images, previews, a frame.
"""

from __future__ import annotations

from pathlib import Path

INDEX = """<!doctype html>
<html lang="en" data-beasties-container>
<head>
  <meta charset="utf-8">
  <title>stand-in</title>
  <base href="/">
  <link id="favicon" rel="icon" type="image/x-icon" href="favicon.ico?v=7">
  <script>
    if (global === undefined) {
      var global = window;
    }
  </script>
  <script src="env.js"></script>
<link rel="stylesheet" href="styles-AAAAAAAA.css" media="print" onload="this.media='all'">\
<noscript><link rel="stylesheet" href="styles-AAAAAAAA.css"></noscript>\
<style>body{margin:0}.shown{font-weight:700}</style>\
<link rel="stylesheet" href="global-styles-BBBBBBBB.css" media="print" onload="this.media='all'">\
<noscript><link rel="stylesheet" href="global-styles-BBBBBBBB.css"></noscript>
<link rel="modulepreload" href="chunk-CCCCCCCC.js"></head>
<body>
  <sm-root></sm-root>
  <noscript>Please enable JavaScript to continue using this application.</noscript>
<script src="scripts-DDDDDDDD.js" defer></script><script src="main-EEEEEEEE.js" type="module"></script></body>
</html>
"""
FILES = {
    "env.js": "window.__env = {subPath: '${SUB_PATH}'};\n",
    "scripts-DDDDDDDD.js": "window.highlighter = true;\n",
    "styles-AAAAAAAA.css": "@font-face{font-family:icons;src:url(media/icons.woff2)} sm-root{color:rgb(1, 2, 3)}\n",
    "global-styles-BBBBBBBB.css": "sm-root{background-color:rgb(4, 5, 6)}\n",
    "chunk-CCCCCCCC.js": """export async function call(configuration, name, data) {
  const headers = {'Content-Type': 'application/json', 'X-Clearml-Client': 'Webapp-2.5.0'};
  const asked = {method: 'POST', headers, body: JSON.stringify(data), credentials: 'include'};
  return (await (await fetch(`${configuration.apiBaseUrl}/v999.0/${name}`, asked)).json()).data;
}
""",
    "chunk-FFFFFFFF.js": """export async function task(root, configuration, call, id) {
  const found = await call('tasks.get_by_id_ex', {id: [id], only_fields: ['name', 'execution.artifacts']});
  const [task] = found.tasks;
  root.append(Object.assign(document.createElement('h1'), {className: 'shown', textContent: task.name}));
  const images = await call('events.debug_images', {metrics: [{task: id}], iters: 1});
  for (const {url} of images.metrics[0].iterations[0].events) {
    if (!url.startsWith(configuration.fileBaseUrl)) root.append(`elsewhere: ${url} `);
    root.append(Object.assign(new Image(), {src: url}));
  }
  for (const {uri} of task.execution.artifacts) {
    const text = await (await fetch(uri, {credentials: 'include'})).text();
    root.append(Object.assign(document.createElement('pre'), {textContent: text}));
  }
  root.append(Object.assign(document.createElement('iframe'), {src: `/widgets/?type=scalar&objects=${id}`}));
}
""",
    "main-EEEEEEEE.js": """import {call} from './chunk-CCCCCCCC.js';
const root = document.querySelector('sm-root');
const configuration = await (await fetch('configuration.json')).json();
const [, , , , id] = location.pathname.split('/');
const asking = (name, data) => call(configuration, name, data);
const {user} = await asking('users.get_current_user', {});
root.append(user ? `signed in as ${user.name} ` : 'signed out ');
if (id) (await import('./chunk-FFFFFFFF.js')).task(root, configuration, asking, id);
""",
    "media/icons.woff2": "",
    "favicon.ico": "",
    "widgets/index.html": """<!doctype html>
<html lang="en" data-beasties-container>
<head>
  <meta charset="utf-8">
  <base href>
  <style>html{background-color:white}</style>
<link rel="stylesheet" href="styles-GGGGGGGG.css" media="print" onload="this.media='all'"></head>
<body><sm-widget></sm-widget><script>window.widget = true;</script>\
<script src="main-HHHHHHHH.js" type="module"></script></body>
</html>
""",
    "widgets/styles-GGGGGGGG.css": "sm-widget{color:rgb(7, 8, 9)}\n",
    "widgets/main-HHHHHHHH.js": """const configuration = await (await fetch('configuration.json')).json();
const task = new URLSearchParams(location.search).get('objects');
const asked = {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify({task})};
const answer = await fetch(`${configuration.apiBaseUrl}/v999.0/events.scalar_metrics_iter_histogram`, asked);
const curves = Object.keys((await answer.json()).data);
document.querySelector('sm-widget').append(window.widget ? `curves: ${curves}` : 'no script');
""",
}


def make_build(folder: Path) -> Path:
    """Write the build as its makers' tools leave it: in ``folder/browser``, licences beside it; ``folder`` again."""
    for name, text in {"index.html": INDEX, **FILES}.items():
        path = folder / "browser" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "3rdpartylicenses.txt").write_text("licences\n")
    return folder
