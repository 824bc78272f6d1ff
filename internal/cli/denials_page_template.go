package cli

// pageTemplate is the page of denials, for html/template. Style and script are whole elements, whose hashes the
// Content-Security-Policy has.
const pageTemplate = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{.Policy}}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>Denials</title>
<style>{{.Style}}</style>
</head>
<body>
<header>
<h1>Denials</h1>
<p>{{if .From}}From <time>{{.From}}</time> to <time>{{.To}}</time> UTC{{else}}No record{{end}}</p>
{{with .Filters}}<p>Only {{range .}}<code>{{.}}</code> {{end}}</p>{{end}}
{{with .Unsure}}<p>{{.}}</p>{{end}}
</header>
<main>
<section class="verdict {{.Verdict}}" aria-labelledby="complete">
<h2 id="complete">{{if eq .Verdict "good"}}✓ {{else if eq .Verdict "bad"}}✗ {{end}}{{.Summary}}</h2>
{{if .Problems}}<ul>{{range .Problems}}<li>{{.}}</li>{{end}}</ul>{{end}}
{{if gt .Rest 0}}<p>And {{.Rest}} more.</p>{{end}}
</section>
<section aria-labelledby="when">
<h2 id="when">When</h2>
<ul class="totals">
{{range .Totals}}<li><span class="key {{.Class}}"></span><strong>{{.Count}}</strong> {{.Label}}</li>
{{end}}</ul>
{{with .Chart}}
<figure>
<div class="plot">
<div class="y" aria-hidden="true"><span>{{.Max}}</span><span>{{.Half}}</span><span>0</span></div>
<svg role="img" aria-label="{{.Title}}" viewBox="0 0 {{.Width}} 100" preserveAspectRatio="none">
<line class="grid" x1="0" x2="{{.Width}}" y1="0" y2="0"/>
<line class="grid" x1="0" x2="{{.Width}}" y1="50" y2="50"/>
<line class="grid" x1="0" x2="{{.Width}}" y1="100" y2="100"/>
{{range .Bars}}{{$x := .X}}<g><title>{{.Title}}</title><rect class="hit" x="{{$x}}" y="0" width="10" height="100"/>
{{- range .Segments}}<rect class="{{.Class}}" x="{{$x}}" y="{{.Y}}" width="8.5" height="{{.Height}}"/>{{end}}</g>
{{end}}</svg>
<div class="x" aria-hidden="true"><span>{{.Start}}</span><span>{{.Until}}</span></div>
</div>
<figcaption>Records per {{.Step}}, UTC</figcaption>
</figure>
<details>
<summary>The same as a table</summary>
<table>
<caption>Records per {{.Step}}</caption>
<thead><tr><th scope="col">From (UTC)</th>
{{- range $.Totals}}<th scope="col" class="number">{{.Label}}</th>{{end}}</tr></thead>
<tbody>
{{range .Bars}}{{$counts := .Counts}}<tr><th scope="row">{{.From}}</th>
{{- range $n, $total := $.Totals}}<td class="number">{{index $counts $n}}</td>{{end}}</tr>
{{end}}</tbody>
</table>
</details>
{{end}}
</section>
<div class="top">
{{range .Top}}{{$top := .}}
<section aria-labelledby="{{.ID}}">
<h2 id="{{.ID}}">{{.Title}}</h2>
{{if .Rows}}<table aria-labelledby="{{.ID}}">
<thead><tr><th scope="col">{{.Heading}}</th><th scope="col" class="number">Records</th></tr></thead>
<tbody>
{{range .Rows}}<tr><th scope="row">{{.Name}}
<svg class="share" aria-hidden="true" viewBox="0 0 100 1" preserveAspectRatio="none"><rect width="{{.Percent}}" height="1"/></svg></th>
<td class="number">{{.Count}}</td></tr>
{{end}}</tbody>
</table>
{{if .Rest}}<p class="note">And {{.Rest}} more.</p>{{end}}
{{else}}<p class="note">None.</p>{{end}}
</section>
{{end}}
</div>
<section aria-labelledby="records">
<h2 id="records">Records, newest first</h2>
{{if .Rows}}
<p class="search" hidden><label for="search">Show only rows with</label>
<input id="search" type="search" autocomplete="off" spellcheck="false" aria-describedby="shown" aria-controls="rows">
<output id="shown" for="search">{{len .Rows}} of {{len .Rows}}</output></p>
{{with .Left}}<p class="note">{{.}}</p>{{end}}
<table id="rows" role="table" aria-labelledby="records">
<thead role="rowgroup"><tr role="row">
<th scope="col" role="columnheader">Time (UTC)</th>
<th scope="col" role="columnheader">Action</th>
<th scope="col" role="columnheader">Node</th>
<th scope="col" role="columnheader">Write</th>
<th scope="col" role="columnheader">Object</th>
<th scope="col" role="columnheader">Violations</th>
<th scope="col" role="columnheader">Record</th>
</tr></thead>
<tbody role="rowgroup">
{{range .Rows}}<tr role="row"><td role="cell" data-label="Time"><time>{{.Time}}</time></td>
<td role="cell" data-label="Action"><span class="key {{.Class}}"></span>{{.Action}}</td>
<td role="cell" data-label="Node">{{.Node}}</td>
<td role="cell" data-label="Write">{{.Write}}</td>
<td role="cell" data-label="Object">{{.Object}}</td>
<td role="cell" data-label="Violations">{{range .Violations}}<div><b>{{.Rule}}</b> of {{.Policy}}: {{.Detail}}</div>{{end}}</td>
<td role="cell" data-label="Record" class="id">{{.Boot}} {{.Seq}}<br>{{.UID}}</td></tr>
{{end}}</tbody>
</table>
{{else}}<p class="note">None.</p>{{end}}
</section>
</main>
<footer><p>Made by node-restriction-plus {{.Version}}. “?” is what the log does not have.</p></footer>
<script>{{.Script}}</script>
</body>
</html>
`
