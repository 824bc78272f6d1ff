// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build site

package docs_test

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"noderestriction.plus/internal/docs"
)

const (
	siteDir = "../../bin/site/dist" // make site builds it
	home    = "https://noderestriction.plus"
)

// site is the site as it was built, and what was read of it.
type site struct {
	server *httptest.Server
	pages  map[string]*page // by path
}

// page is a page of the site, or another file.
type page struct {
	code    int
	root    *html.Node // nil if it is no page
	anchors map[string]bool
	links   []string
}

func openSite(t *testing.T) *site {
	t.Helper()
	if _, err := filepath.Glob(siteDir); err != nil {
		t.Fatal(err)
	}
	s := &site{server: httptest.NewServer(http.FileServer(http.Dir(siteDir))), pages: map[string]*page{}}
	t.Cleanup(s.server.Close)
	return s
}

// read reads what is at a path.
func (s *site) read(t *testing.T, path string) *page {
	t.Helper()
	if p := s.pages[path]; p != nil {
		return p
	}
	response, err := http.Get(s.server.URL + path) //nolint:noctx // a server of this test
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	p := &page{code: response.StatusCode, anchors: map[string]bool{}}
	s.pages[path] = p
	if p.code != http.StatusOK || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") {
		return p
	}
	if p.root, err = html.Parse(response.Body); err != nil {
		t.Fatal(err)
	}
	for n := range p.root.Descendants() {
		for _, a := range n.Attr {
			switch {
			case a.Key == "id":
				p.anchors[a.Val] = true
			case a.Key == "href", a.Key == "src":
				p.links = append(p.links, a.Val)
			}
		}
	}
	return p
}

// refreshed is where a page leads at once, or the same path.
func (p *page) refreshed(at string) string {
	for n := range p.root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "meta" {
			continue
		}
		for _, a := range n.Attr {
			if _, to, found := strings.Cut(a.Val, "0; url="); a.Key == "content" && found {
				return path.Join(at, to)
			}
		}
	}
	return at
}

// heading returns the text of the first heading.
func (p *page) heading() string {
	for n := range p.root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "h1" {
			continue
		}
		var text strings.Builder
		for d := range n.Descendants() {
			if d.Type == html.TextNode {
				text.WriteString(d.Data)
			}
		}
		return strings.Trim(text.String(), "\u200b ")
	}
	return ""
}

// TestSiteHasNoBrokenLink follows all links from the first page, and finds each page of the repository's documentation.
func TestSiteHasNoBrokenLink(t *testing.T) {
	s := openSite(t)
	queue, reached := []string{"/"}, map[string]bool{"/": true}
	for len(queue) > 0 {
		from := queue[0]
		queue = queue[1:]
		p := s.read(t, from)
		if p.code != http.StatusOK {
			t.Errorf("%s: %d", from, p.code)
		}
		for _, l := range p.links {
			target, err := url.Parse(l)
			if err != nil {
				t.Errorf("%s: %q: %v", from, l, err)
				continue
			}
			if target.Scheme != "" || target.Host != "" {
				continue // leads elsewhere, or is in the page
			}
			to := (&url.URL{Path: from}).ResolveReference(target)
			if found := s.read(t, to.Path); found.code != http.StatusOK {
				t.Errorf("%s: %s is not there", from, l)
			} else if fragment := to.Fragment; fragment != "" && found.root != nil && !found.anchors[fragment] {
				t.Errorf("%s: %s has no such heading", from, l)
			}
			if !reached[to.Path] {
				reached[to.Path] = true
				queue = append(queue, to.Path)
			}
		}
	}
	pages := 0
	err := filepath.WalkDir("../../docs", func(file string, _ fs.DirEntry, err error) error {
		name, is := strings.CutSuffix(filepath.ToSlash(file), ".md")
		if err != nil || !is {
			return err
		}
		pages++
		name = strings.TrimPrefix(name, "../..")
		if !reached[name+".html"] && !reached[strings.TrimSuffix(name, "README")] {
			t.Errorf("no link leads to %s", name)
		}
		return nil
	})
	if err != nil || pages < 80 {
		t.Errorf("%d pages: %v", pages, err)
	}
}

// TestSiteHasTheAddressesOfAlerts follows the addresses in alerts, the dashboard and the chart, as they are on the published site.
func TestSiteHasTheAddressesOfAlerts(t *testing.T) {
	s := openSite(t)
	open := func(address string) *page {
		t.Helper()
		at, is := strings.CutPrefix(address, home)
		p := s.read(t, at)
		if !is || p.root == nil {
			t.Errorf("%s: %d", address, p.code)
			return nil
		}
		return s.read(t, p.refreshed(at))
	}
	for _, a := range alerts(t) {
		if p := open(docs.RunbookURL + a.Name + ".md"); p != nil && p.heading() != a.Name {
			t.Errorf("%s: the heading is %q", a.Name, p.heading())
		}
	}
	addresses := regexp.MustCompile(regexp.QuoteMeta(home) + `/[A-Za-z0-9/._-]*[A-Za-z0-9]`)
	var found []string
	for _, file := range []string{
		"../../config/dashboards/node-restriction-plus.json", "../../.github/ISSUE_TEMPLATE/config.yml",
		"../../.github/ISSUE_TEMPLATE/1-kubelet-denied.yaml", "../../config/detection/sigma/kubernetes_audit_node_restriction_plus_denied.yml",
	} {
		all := addresses.FindAllString(string(read(t, file)), -1)
		if len(all) == 0 {
			t.Error(errors.New(file + " has no address of the site"))
		}
		found = append(found, all...)
	}
	slices.Sort(found)
	for _, address := range slices.Compact(found) {
		if p := open(address); p != nil && p.heading() == "" {
			t.Errorf("%s: no heading", address)
		}
	}
}
