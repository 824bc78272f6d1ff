// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/policy"
)

// testFixtures replays each fixture's write, with the credential of the kubelet that it names, in each encoding. Fixtures of the
// baseline are sent to an API server without NodeRestriction, all others also to a stock one.
func (s *pair) testFixtures(t *testing.T) {
	paths, err := filepath.Glob("../policy/rules/testdata/*/*/*.txtar")
	suite.Check(t, err)
	if len(paths) == 0 {
		t.Fatal("no fixtures")
	}
	s.freeKubelets(t)
	s.sendEverything(t)
	listed, kept, newer, minor := notOurs(), notSent(), sinceMinor(), s.minor(t)
	enforced := map[string]bool{}
	sent := 0
	for _, path := range paths {
		name := strings.TrimSuffix(strings.TrimPrefix(path, "../policy/rules/testdata/"), ".txtar")
		if strings.Contains(name, "managed-fields/") {
			continue // the API server computes managedFields: see testOwnership
		}
		if _, is := kept[name]; is {
			delete(kept, name)
			continue
		}
		data, err := os.ReadFile(path)
		suite.Check(t, err)
		f, err := fixture.Parse(data)
		suite.Check(t, err)
		if !f.Request.Subject.IsKubelet() {
			continue // by a node agent
		}
		sent++
		others := listed[name]
		if minor < others.since {
			others.stock = others.open
		}
		delete(listed, name)
		since := max(newer[name], resourceOf(t, f.Request.Resource).since)
		delete(newer, name)
		t.Run(name, func(t *testing.T) {
			if minor < since {
				if os.Getenv(binaries.KubeAPIServer().VersionVariable) == "" {
					t.Fatalf("it would need 1.%d, and no older API server is asked for", since)
				}
				t.Skipf("the API server would have to be of 1.%d or newer", since)
			}
			if isBaseline(&f.Request, f.Policies) {
				s.testFreed(t, f, factsOf(t, data), others, enforced)
			} else {
				s.testFixture(t, f, others, enforced)
			}
		})
	}
	t.Logf("%d of %d fixtures are sent", sent, len(paths))
	for name := range listed {
		t.Errorf("%s: there is no such fixture", name)
	}
	for name := range kept {
		t.Errorf("%s: there is no such fixture", name)
	}
	for name := range newer {
		t.Errorf("%s: there is no such fixture", name)
	}
}

// minor returns the minor release of the API servers, which is that of compat if it names one.
func (s *environment) minor(t *testing.T) int {
	t.Helper()
	version, err := s.Admin.Discovery().ServerVersion()
	suite.Check(t, err)
	checkRelease(t, binaries.KubeAPIServer(), version.GitVersion)
	minor, err := strconv.Atoi(version.Minor)
	suite.Check(t, err)
	return minor
}

// checkRelease fails if the environment names another release of a program than that which runs.
func checkRelease(t *testing.T, program binaries.Program, running string) {
	t.Helper()
	if want := os.Getenv(program.VersionVariable); want != "" && running != want {
		t.Errorf("%s is %s, want %s", program.Name, running, want)
	}
}

func (s *pair) testFixture(t *testing.T, f *fixture.Fixture, others exception, enforced map[string]bool) {
	s.enforce(t, f.Policies, enforced)
	defer s.newSetup(t, f, s.open, nil).clear(t)
	for _, api := range []struct {
		name   string
		server *controlplane.APIServer
		refuse string // text of a refusal that is not by the product
	}{
		{"without NodeRestriction", s.open, others.open},
		{"stock", s.ControlPlane.APIServer, others.stock},
	} {
		t.Run(api.name, func(t *testing.T) {
			r := &replay{
				setup: s.newSetup(t, f, api.server, nil), kubelet: suite.Kubelet(t, api.server, f.Request.NodeName), refuse: api.refuse,
			}
			r.run(t)
		})
	}
}

// enforce enforces these policies, and no longer those of earlier fixtures.
func (s *pair) enforce(t *testing.T, policies []*v1alpha1.NodeRestrictionPolicy, enforced map[string]bool) {
	t.Helper()
	keep := map[string]bool{}
	for _, p := range policies {
		keep[p.Name] = true
	}
	for name := range enforced {
		if !keep[name] {
			suite.Check(t, product.Retire(t.Context(), s.Policies, name))
			delete(enforced, name)
		}
	}
	for _, p := range policies {
		suite.Check(t, product.Enforce(t.Context(), s.Policies, p))
		enforced[p.Name] = true
	}
}

// replay is a fixture's write against one API server.
type replay struct {
	*setup
	kubelet *suite.Client
	// refuse is the text with which the API server refuses the write before it calls the webhook; empty if it calls the webhook.
	refuse string
}

func (r *replay) run(t *testing.T) {
	w := r.set(t)
	r.awaitLookups(t, w)
	for i, e := range r.encodings() {
		if i > 0 && r.fixture.Want == fixture.Allowed && r.refuse == "" {
			w = r.set(t)
		}
		t.Run(e.name, func(t *testing.T) { r.send(t, e, w) })
	}
}

// encodings returns the ways to send the write.
func (r *replay) encodings() []encoding {
	request := &r.fixture.Request
	switch {
	case request.Operation == admissionv1.Create && request.Subresource != "":
		return additions()
	case request.Operation == admissionv1.Create:
		return creations()
	case request.Operation == admissionv1.Delete:
		return deletions(request.Options)
	}
	return updates()
}

// send sends the write in an encoding and checks the answer, the record and what is stored.
func (r *replay) send(t *testing.T, e encoding, w *write) {
	first, err := r.product.Records.Len()
	suite.Check(t, err)
	a := r.request(t, e, w, r.fixture.Request.DryRun)
	refuse := r.refuse
	if r.objects == nil && r.fixture.Request.Resource == "pods" && w.before == nil && e.name == "server-side apply" {
		refuse = `cannot patch resource "pods"` // by the authorizer
	}
	webhook, message := a.DeniedBy()
	switch {
	case refuse != "":
		if webhook != "" || a.Code < http.StatusBadRequest || !strings.Contains(a.Text, refuse) {
			t.Errorf("want a refusal with %q before the webhook is called, got %s", refuse, a)
		}
		r.checkRecords(t, first, 0)
		r.checkUnchanged(t, w)
	case r.fixture.Want == fixture.Allowed:
		if a.Code >= http.StatusBadRequest {
			t.Fatalf("want it allowed, got %s", a)
		}
		if r.fixture.Request.Operation == admissionv1.Update || w.before == nil {
			r.checkStored(t, w, a.Body)
		}
		r.checkRecords(t, first, 0)
	default:
		if a.Code != http.StatusForbidden || a.Reason != metav1.StatusReasonForbidden || message != r.fixture.Want ||
			!strings.HasSuffix(webhook, ".noderestriction.plus") {
			t.Errorf("got  %s\nwant 403 Forbidden: %s", a, r.fixture.Want)
		}
		r.checkRecords(t, first, 1)
		r.checkUnchanged(t, w)
	}
}

func (r *replay) request(t *testing.T, e encoding, w *write, dryRun bool) suite.Answer {
	t.Helper()
	request := e.encode(t, w)
	request.DryRun = dryRun
	return r.kubelet.Send(t, request)
}

// checkRecords checks the number of denials of the fixture's kubelet after the first records.
func (r *replay) checkRecords(t *testing.T, first, want int) {
	t.Helper()
	records, err := r.product.Records.Since(first)
	suite.Check(t, err)
	request := &r.fixture.Request
	n := 0
	for _, l := range records {
		if l.Node != request.NodeName || l.Msg != policy.Denied {
			continue
		}
		n++
		// After ten equal denials a minute the record is compact, and after many denials its namespace may be cut.
		start, isCut := strings.CutSuffix(l.Namespace, "...")
		sameNamespace := l.Namespace == request.Namespace || isCut && strings.HasPrefix(request.Namespace, start)
		if len(l.Violations) > 0 && (l.Operation != string(request.Operation) || l.Resource != request.Resource ||
			l.Subresource != request.Subresource || !sameNamespace || l.DryRun != request.DryRun) {
			t.Errorf("the record is about another write: %s", l.Text)
		}
	}
	if n != want {
		t.Errorf("%d records, want %d: %+v", n, want, records)
	}
}

// checkUnchanged checks that nothing was stored.
func (r *replay) checkUnchanged(t *testing.T, w *write) {
	t.Helper()
	if w.name == "" {
		return // it was a write to a collection
	}
	a := r.client.Send(t, suite.Request{Method: http.MethodGet, Path: w.collection + "/" + w.name})
	switch {
	case w.before == nil && a.Code != http.StatusNotFound:
		t.Errorf("the object was created: %s", a)
	case w.before != nil && resourceVersion(t, a.Body) != resourceVersion(t, w.before):
		t.Errorf("the object has changed: %s", a.Body)
	}
}

func resourceVersion(t *testing.T, object []byte) string {
	t.Helper()
	var o metav1.PartialObjectMetadata
	suite.Check(t, json.Unmarshal(object, &o))
	return o.ResourceVersion
}

// checkStored checks that the write changed the object as the fixture says, in every encoding.
func (r *replay) checkStored(t *testing.T, w *write, got []byte) {
	t.Helper()
	for _, field := range []string{"labels", "annotations", "finalizers", "ownerReferences"} {
		g, want := metadataField(t, got, field), metadataField(t, w.after, field)
		if field == "labels" && w.before == nil {
			continue // the API server adds some to a new object
		}
		if g != want {
			t.Errorf("metadata.%s: got %s, want %s", field, g, want)
		}
	}
}

// metadataField returns a field of an object's metadata as JSON. Lists are sorted, and an empty list is the same as no list.
func metadataField(t *testing.T, object []byte, field string) string {
	t.Helper()
	var o struct {
		Metadata map[string]any `json:"metadata"`
	}
	suite.Check(t, json.Unmarshal(object, &o))
	list, ok := o.Metadata[field].([]any)
	if !ok {
		return string(suite.JSON(t, o.Metadata[field]))
	}
	var elements []string
	for _, element := range list {
		elements = append(elements, string(suite.JSON(t, element)))
	}
	slices.Sort(elements)
	return string(suite.JSON(t, elements))
}

// awaitLookups waits until a dry run is answered as the write must be, if the answer depends on Nodes that were stored a moment ago
// and that a cache may not have yet.
func (r *replay) awaitLookups(t *testing.T, w *write) {
	t.Helper()
	createsPod := r.fixture.Request.Resource == "pods" && w.before == nil
	if r.refuse != "" || r.objects == nil && !createsPod && len(r.nodeFacts()) == 0 {
		return
	}
	suite.Eventually(t, 10*time.Second, func() error {
		a := r.request(t, r.encodings()[0], w, true)
		_, message := a.DeniedBy()
		if r.fixture.Want == fixture.Allowed && a.Code < http.StatusBadRequest || message == r.fixture.Want {
			return nil
		}
		return errors.New(a.String())
	})
}
