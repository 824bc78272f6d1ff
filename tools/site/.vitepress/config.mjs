// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// The site has the pages of the repository under their paths there, so that the address of a page follows from its file.
// make site runs it in bin/site.
import fs from 'node:fs'
import path from 'node:path'
import { defineConfig } from 'vitepress'

const root = path.resolve(import.meta.dirname, '../../..')
const src = path.resolve(import.meta.dirname, '../src')
const repository = 'https://github.com/noderestriction-plus/node-restriction-plus'
const version = process.env.SITE_VERSION || 'main'
const base = process.env.SITE_BASE || '/'

const read = (file) => fs.readFileSync(path.join(root, file), 'utf8')
const title = (file) => read(file).match(/^# (.*)$/m)[1].replaceAll('`', '')
const address = (file) => '/' + file.replace(/README\.md$/, '').replace(/\.md$/, '')
const pagesIn = (dir) => fs.readdirSync(path.join(root, dir)).filter((f) => f.endsWith('.md')).map((f) => path.posix.join(dir, f))
const entry = (file) => ({ text: title(file), link: address(file) })

// The pages are copied next to the packages, because the generator looks for its own packages from where a page is.
fs.rmSync(src, { recursive: true, force: true })
fs.cpSync(path.join(root, 'docs'), path.join(src, 'docs'), { recursive: true })
for (const file of [...fs.readdirSync(root).filter((f) => f.endsWith('.md')), 'charts/node-restriction-plus/README.md']) {
  fs.cpSync(path.join(root, file), path.join(src, file))
}

// sections are those of docs/README.md, each with the pages to which its table links.
function sections() {
  return read('docs/README.md').split(/^## /m).slice(1).map((section) => {
    const files = [...section.matchAll(/\]\(([^)#\s]+\.md)(?:#[^)]*)?\)/g)].map((m) => path.posix.join('docs', m[1]))
    const own = [...new Set(files)].filter((f) => !f.startsWith('docs/cli/') && !f.startsWith('docs/runbooks/'))
    return { text: section.split('\n')[0].trim(), collapsed: false, items: own.map(entry) }
  })
}

// anchor is that of GitHub, so that links work in both places.
const anchor = (heading) => heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-')

// target is where a link leads on the site. What is no page of the site is in the repository.
function target(href, page) {
  if (/^[a-z]+:|^#/.test(href)) return href
  const [file, fragment] = href.split('#')
  const found = path.posix.join(path.posix.dirname(page), file)
  if (found.endsWith('.md')) return href.replace(/README\.md(?=#|$)/, 'index.md')
  const kind = fs.statSync(path.join(root, found)).isDirectory() ? 'tree' : 'blob'
  return `${repository}/${kind}/${version}/${found}${fragment ? '#' + fragment : ''}`
}

function pages(md) {
  md.core.ruler.before('normalize', 'comments', (state) => {
    state.src = state.src.replace(/^<!--[\s\S]*?-->$/gm, '')
  })
  md.core.ruler.push('links', (state) => {
    const file = path.relative(src, path.resolve(src, state.env.realPath ?? state.env.relativePath))
    for (const block of state.tokens) {
      for (const token of block.children ?? []) {
        if (token.type === 'link_open') token.attrSet('href', target(token.attrGet('href'), file))
      }
    }
  })
  const fence = md.renderer.rules.fence
  md.renderer.rules.fence = (tokens, i, ...rest) =>
    tokens[i].info.trim() === 'mermaid' ? `<Mermaid source="${encodeURIComponent(tokens[i].content)}" />` : fence(tokens, i, ...rest)
}

// alias writes a page that leads from the address of a file, such as /docs/faq.md, to its page. The addresses in alerts are of this form.
function alias(outDir, file) {
  const page = file.replace(/README\.md$/, 'index.md').replace(/\.md$/, '.html')
  const to = '../' + path.posix.basename(page)
  const dir = path.join(outDir, file)
  fs.mkdirSync(dir, { recursive: true })
  fs.writeFileSync(path.join(dir, 'index.html'), `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${path.posix.basename(file)}</title>
<meta http-equiv="refresh" content="0; url=${to}"><link rel="canonical" href="${to}"></head>
<body><a href="${to}">${file}</a></body></html>
`)
}

export default defineConfig({
  title: 'NodeRestriction-plus',
  description: 'Restricts what the credential of a kubelet may write, beyond the NodeRestriction admission plugin',
  lang: 'en',
  base,
  srcDir: 'src',
  outDir: process.env.SITE_OUT || 'dist',
  cacheDir: 'cache',
  rewrites: { 'README.md': 'index.md', ':dir(.*)/README.md': ':dir/index.md' },
  head: [['link', { rel: 'icon', href: 'data:image/svg+xml;base64,' + fs.readFileSync(path.join(root, 'charts/icon.svg')).toString('base64') }]],
  markdown: {
    html: false, // pages have names in angle brackets
    linkify: false,
    anchor: { slugify: anchor },
    toc: { slugify: anchor },
    config: pages,
  },
  themeConfig: {
    nav: [
      { text: 'Documentation', link: '/docs/' },
      { text: 'Install', link: '/docs/install' },
      { text: 'Rules', link: '/docs/rules' },
      { text: version, items: [{ text: 'Changes', link: '/CHANGELOG' }, { text: 'Upgrade', link: '/docs/upgrade' }] },
    ],
    sidebar: [
      { text: 'NodeRestriction-plus', link: '/' },
      ...sections(),
      { text: 'Commands', collapsed: true, items: ['kubectl-nrp', 'node-restriction-plus'].flatMap((p) => pagesIn('docs/cli/' + p)).map(entry) },
      { text: 'Runbooks', collapsed: true, items: pagesIn('docs/runbooks').map(entry) },
    ],
    outline: { level: [2, 3] },
    search: { provider: 'local', options: { miniSearch: { searchOptions: { boost: { title: 4, titles: 2, text: 1 } } } } },
    socialLinks: [{ icon: 'github', link: repository }],
    editLink: version === 'main' ? { pattern: repository + '/edit/main/:path' } : undefined,
    footer: { message: 'Apache-2.0 · The NodeRestriction-plus Authors' },
  },
  buildEnd({ outDir, pages: files }) {
    for (const file of files) alias(outDir, file)
  },
})
