package cli

// pageStyle is the style of the page of denials.
const pageStyle = `
:root {
  --back: #fff; --raised: #f5f6f8; --text: #1b1f24; --soft: #555d67; --line: #d5d9de;
  --denied: #b3261e; --warned: #b27200; --audited: #2563b8; --probed: #6b7280;
  --good: #0b6b3a; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #14171a; --raised: #1e2328; --text: #e6e8ea; --soft: #a7afb8; --line: #39414a;
    --denied: #ff8078; --warned: #f0bd45; --audited: #74b0ff; --probed: #9aa3ad;
    --good: #62d296; --bad: #ff8078;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body {
  margin: 0 auto; padding: 1rem 1.5rem 2rem; max-width: 100rem; background: var(--back); color: var(--text);
  font: 15px/1.45 system-ui, sans-serif; overflow-wrap: anywhere;
}
h1 { margin: 0; font-size: 1.6rem; }
h2 { margin: 0 0 .6rem; font-size: 1.1rem; }
header p { margin: .2rem 0; color: var(--soft); }
section { margin: 1.5rem 0; }
code { padding: .1rem .3rem; border-radius: .2rem; background: var(--raised); color: var(--text); }
time, .number, .id { font-variant-numeric: tabular-nums; }
.verdict { padding: .8rem 1rem; border-left: .4rem solid var(--soft); background: var(--raised); }
.verdict h2 { margin: 0; }
.verdict ul { margin: .5rem 0 0; padding-left: 1.2rem; }
.verdict p { margin: .5rem 0 0; }
.verdict.good { border-color: var(--good); }
.verdict.good h2 { color: var(--good); }
.verdict.bad { border-color: var(--bad); }
.verdict.bad h2 { color: var(--bad); }
.totals { display: flex; flex-wrap: wrap; gap: .3rem 1.6rem; margin: 0 0 .8rem; padding: 0; list-style: none; }
.totals strong { font-size: 1.3rem; font-variant-numeric: tabular-nums; }
.key {
  display: inline-block; width: .7em; height: .7em; margin-right: .4em; border-radius: .15em;
  background: var(--soft);
}
.key.denied { background: var(--denied); }
.key.warned { background: var(--warned); }
.key.audited { background: var(--audited); }
.key.probed { background: var(--probed); }
figure { margin: 0; }
figcaption, .note { color: var(--soft); font-size: .9rem; }
.plot { display: grid; grid-template-columns: auto 1fr; column-gap: .5rem; }
.plot svg { width: 100%; height: 11rem; display: block; }
.y, .x {
  display: flex; justify-content: space-between; color: var(--soft); font-size: .8rem;
  font-variant-numeric: tabular-nums;
}
.y { flex-direction: column; text-align: right; margin: -.6em 0; }
.x { grid-column: 2; gap: 1rem; margin-top: .3rem; }
.x span:last-child { text-align: right; }
.grid { stroke: var(--line); stroke-width: 1; vector-effect: non-scaling-stroke; }
svg .hit { fill: transparent; }
svg g:hover .hit { fill: var(--line); }
svg .denied { fill: var(--denied); }
svg .warned { fill: var(--warned); }
svg .audited { fill: var(--audited); }
svg .probed { fill: var(--probed); }
details { margin-top: .6rem; }
summary { cursor: pointer; }
table { width: 100%; border-collapse: collapse; }
caption { text-align: left; color: var(--soft); padding: .4rem 0; }
th, td { padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { font-weight: 400; }
thead th { color: var(--soft); font-size: .85rem; }
th.number, td.number { padding-right: 0; text-align: right; width: 6rem; }
details table { width: auto; }
details th.number, details td.number { width: auto; padding-left: 1rem; }
.share { display: block; width: 100%; height: .25rem; margin-top: .2rem; background: var(--raised); }
.share rect { fill: var(--audited); }
.top { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 0 2.5rem; }
.search:not([hidden]) { display: flex; flex-wrap: wrap; align-items: center; gap: .4rem .7rem; margin: 0 0 .6rem; }
.search input {
  flex: 1 1 14rem; max-width: 30rem; padding: .4rem .6rem; border: 1px solid var(--soft); border-radius: .3rem;
  background: var(--back); color: var(--text); font: inherit;
}
.search output { color: var(--soft); }
:focus-visible { outline: 2px solid var(--audited); outline-offset: 2px; }
#rows { table-layout: fixed; font-size: .93rem; }
#rows th:nth-child(1) { width: 7.5rem; }
#rows th:nth-child(2) { width: 6.2rem; }
#rows th:nth-child(3) { width: 9rem; }
#rows th:nth-child(4), #rows th:nth-child(5) { width: 11rem; }
#rows th:nth-child(7) { width: 11rem; }
.id { color: var(--soft); font-size: .8rem; }
footer { color: var(--soft); font-size: .85rem; }
@media (max-width: 60rem) {
  #rows, #rows tbody, #rows tr, #rows td { display: block; }
  #rows thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  #rows tr { padding: .6rem 0; border-bottom: 1px solid var(--line); }
  #rows td { position: relative; min-height: 1.5em; padding: .1rem 0 .1rem 6.5rem; border: 0; }
  #rows td::before { content: attr(data-label); position: absolute; left: 0; color: var(--soft); font-size: .85rem; }
}
@media (max-width: 40rem) {
  body { padding: .8rem .8rem 1.5rem; }
}
@media print {
  .search { display: none; }
}
`
