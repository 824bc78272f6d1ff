// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package nodeauthorizer

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"noderestriction.plus/internal/authorization"
)

func newTable(t *testing.T, minor int, settings map[Gate]bool) *Table {
	t.Helper()
	table, err := New(minor, settings)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// TestReleases tests what changed between releases, as their source code has it.
func TestReleases(t *testing.T) {
	on, off := func(g Gate) map[Gate]bool { return map[Gate]bool{g: true} }, func(g Gate) map[Gate]bool { return map[Gate]bool{g: false} }
	for _, test := range []struct {
		name  string
		minor int
		gates map[Gate]bool
		cell  string
		want  Intent
	}{
		{"1.31 lets a kubelet list all Nodes", 31, nil, "list nodes (all)", Allowed},
		{"the gate narrows that in 1.31", 31, on(WithSelectors), "list nodes (all)", Refused},
		{"1.32 refuses to list all Nodes", 32, nil, "list nodes (all)", Refused},
		{"without the gate 1.33 lists all pods", 33, off(WithSelectors), "list pods (all)", Allowed},
		{"1.32 still lists the pods of the node", 32, nil, "list pods (selected)", Allowed},
		{"1.30 refuses to delete all ResourceSlices", 30, nil, "deletecollection resourceslices.resource.k8s.io (all)", Refused},
		{"1.31 lets the plugin narrow that", 31, nil, "deletecollection resourceslices.resource.k8s.io (all)", Narrowed},
		{"1.33 gives no service account", 33, nil, "get serviceaccounts (related)", Refused},
		{"the gate gives it in 1.33", 33, on(ServiceAccountReads), "get serviceaccounts (related)", Allowed},
		{"1.34 gives the service account of a pod", 34, nil, "get serviceaccounts (related)", Allowed},
		{"the other gate gives it, too", 34, map[Gate]bool{ServiceAccountReads: false, PodCertificates: true}, "get serviceaccounts (related)", Allowed},
		{"neither gate, no service account", 34, off(ServiceAccountReads), "get serviceaccounts (related)", Refused},
		{"1.34 knows no events.k8s.io", 34, nil, "create events.events.k8s.io (namespace)", Refused},
		{"1.35 lets a kubelet write them", 35, nil, "create events.events.k8s.io (namespace)", Allowed},
		{"1.36 has no certificates of pods by default", 36, nil, "create podcertificaterequests.certificates.k8s.io (namespace)", Refused},
		{"1.37 has", 37, nil, "create podcertificaterequests.certificates.k8s.io (namespace)", Narrowed},
		{"a later release counts as 1.37", 99, nil, "list clustertrustbundles.certificates.k8s.io (all)", Allowed},
		{"the status of a CSINode needs the gate", 37, nil, "patch csinodes.storage.k8s.io/status (own)", Refused},
		{"with it, it is the own one", 37, on(VolumeHealth), "patch csinodes.storage.k8s.io/status (own)", Allowed},
		{"not another", 37, on(VolumeHealth), "patch csinodes.storage.k8s.io/status (other)", Refused},
	} {
		t.Run(test.name, func(t *testing.T) {
			cells := newTable(t, test.minor, test.gates).Cells()
			i := slices.IndexFunc(cells, func(c Cell) bool { return c.Key() == test.cell })
			if i < 0 {
				t.Fatalf("there is no cell %q", test.cell)
			}
			if got := cells[i].Intent; got != test.want {
				t.Errorf("%s: %s, want %s", test.cell, got, test.want)
			}
		})
	}
}

// TestGates tests that a cell names the gate on which it depends, in releases where that can be set.
func TestGates(t *testing.T) {
	for minor := Oldest; minor <= Newest; minor++ {
		table := newTable(t, minor, nil)
		for _, gate := range table.Gates() {
			others := newTable(t, minor, map[Gate]bool{gate: !table.Enabled(gate)}).Cells()
			for i, c := range table.Cells() {
				if differs := (others[i].Intent == Refused) != (c.Intent == Refused); c.Gate == gate && !differs || differs && c.Gate == "" {
					t.Errorf("1.%d: %s: %s, %s with the other setting of %s", minor, c.Key(), c.Intent, others[i].Intent, gate)
				}
			}
		}
	}
}

func TestNewRefusesWhatNoReleaseHas(t *testing.T) {
	for name, test := range map[string]struct {
		minor int
		gates map[Gate]bool
		want  string
	}{
		"a release that is too old":        {29, nil, "1.29"},
		"a gate that does not exist":       {37, map[Gate]bool{"Unknown": true}, `"Unknown"`},
		"a gate that is locked":            {34, map[Gate]bool{WithSelectors: false}, "AuthorizeNodeWithSelectors"},
		"a gate that does not exist there": {33, map[Gate]bool{PodCertificates: true}, "PodCertificateRequest"},
	} {
		if _, err := New(test.minor, test.gates); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want an error with %s", name, err, test.want)
		}
	}
	if _, err := New(34, map[Gate]bool{WithSelectors: true}); err != nil {
		t.Errorf("the setting that a locked gate has: %v", err)
	}
}

// TestCells tests that cells of all releases are complete.
func TestCells(t *testing.T) {
	for minor := Oldest; minor <= Newest; minor++ {
		seen := map[string]bool{}
		for _, c := range newTable(t, minor, nil).Cells() {
			key := c.Key()
			if seen[key] {
				t.Errorf("%s: asked twice", key)
			}
			seen[key] = true
			if (c.Rule == nil) != (c.Intent == Refused) || (c.Why == "") != (c.Intent != Refused) {
				t.Errorf("1.%d: %s: %s by %v: %s", minor, key, c.Intent, c.Rule, c.Why)
			}
			switch c.Object {
			case All, Namespace, Leases, Selected, Own, Other, Unrelated, Path:
			case Linked:
				if !slices.Contains(RelatedResources(), c.Resource) {
					t.Errorf("%s: %s are not related to nodes", key, c.Resource)
				}
			default:
				t.Errorf("%s: unknown object %q", key, c.Object)
			}
			if request, ok := c.Request(modelNames()); !ok || (request.Name == "") != slices.Contains([]Object{All, Namespace, Leases, Selected, Path}, c.Object) {
				t.Errorf("%s: the request %s, %t", key, request.String(), ok)
			}
		}
	}
}

// TestCellsAskWithNames tests where names go.
func TestCellsAskWithNames(t *testing.T) {
	names := &Names{
		Node: "n1", OtherNode: "n2", Namespace: "kube-system", Unrelated: "x",
		Related: map[string]NamespacedName{"secrets": {"shop", "password"}},
	}
	for key, want := range map[string]string{
		"get secrets (related)":                           "get secrets shop/password",
		"get secrets (unrelated)":                         "get secrets kube-system/x",
		"list secrets (all)":                              "list secrets",
		"list secrets (namespace)":                        "list secrets in namespace kube-system",
		"list pods (selected)":                            "list pods with spec.nodeName=n1",
		"get nodes (own)":                                 "get nodes n1",
		"get nodes (other)":                               "get nodes n2",
		"update leases.coordination.k8s.io (own)":         "update leases.coordination.k8s.io kube-node-lease/n1",
		"update leases.coordination.k8s.io (other)":       "update leases.coordination.k8s.io kube-node-lease/n2",
		"update leases.coordination.k8s.io (unrelated)":   "update leases.coordination.k8s.io kube-system/x",
		"impersonate groups (unrelated)":                  "impersonate groups system:masters",
		"get /metrics (path)":                             "get /metrics",
		"create leases.coordination.k8s.io (namespace)":   "create leases.coordination.k8s.io in namespace kube-system",
		"approve signers.certificates.k8s.io (unrelated)": "approve signers.certificates.k8s.io kubernetes.io/kube-apiserver-client-kubelet",
	} {
		cells := newTable(t, Newest, nil).Cells()
		i := slices.IndexFunc(cells, func(c Cell) bool { return c.Key() == key })
		if i < 0 {
			t.Errorf("there is no cell %q", key)
			continue
		}
		if request, _ := cells[i].Request(names); request.String() != want {
			t.Errorf("%s asks %q, want %q", key, request.String(), want)
		}
	}
	for _, c := range newTable(t, Newest, nil).Cells() {
		if _, ok := c.Request(names); ok != (c.Object != Linked || c.Resource == "secrets") {
			t.Errorf("%s can be asked: %t", c.Key(), ok)
		}
	}
}

func TestSources(t *testing.T) {
	source := regexp.MustCompile(`^https://github\.com/kubernetes/kubernetes/blob/v1\.3[0-9]\.[0-9]+/plugin/pkg/auth/authorizer/[a-z_/]+\.go#L[0-9]+$`)
	for _, r := range rules() {
		if !source.MatchString(r.URL()) {
			t.Errorf("%v %s: %s", r.Verbs, r.Resource, r.URL())
		}
	}
}

func TestRisk(t *testing.T) {
	for name, test := range map[string]struct {
		request authorization.Request
		want    Danger
	}{
		"everything":                  {authorization.Request{Verb: "*", Group: "*", Resource: "*"}, Critical},
		"reading everything":          {authorization.Request{Verb: "get", Group: "*", Resource: "*"}, Critical},
		"exec":                        {authorization.Request{Verb: "get", Resource: "pods", Subresource: "exec"}, Critical},
		"every verb of exec":          {authorization.Request{Verb: "*", Resource: "pods", Subresource: "exec"}, Critical},
		"impersonation":               {authorization.Request{Verb: "impersonate", Resource: "users"}, Critical},
		"constrained impersonation":   {authorization.Request{Verb: "impersonate-on:user-info:get", Resource: "pods"}, Critical},
		"a verb that nobody knows":    {authorization.Request{Verb: "frobnicate", Resource: "things"}, Medium},
		"a Secret":                    {authorization.Request{Verb: "get", Resource: "secrets"}, Critical},
		"a resource of the same name": {authorization.Request{Verb: "get", Group: "example.com", Resource: "secrets"}, Low},
		"metrics":                     {authorization.Request{Verb: "get", Path: "/metrics"}, Medium},
		"discovery":                   {authorization.Request{Verb: "get", Path: "/apis/apps"}, Low},
		"the log level":               {authorization.Request{Verb: "put", Path: "/debug/flags/v"}, High},
		"every path":                  {authorization.Request{Verb: "get", Path: "*"}, High},
		"every verb of Deployments":   {authorization.Request{Verb: "*", Group: "apps", Resource: "deployments"}, Critical},
		"every verb of a resource that nobody knows": {authorization.Request{Verb: "*", Group: "example.com", Resource: "things"}, Medium},
	} {
		if got, why := Risk(&test.request); got != test.want || why == "" {
			t.Errorf("%s: %s (%s), want %s", name, got, why, test.want)
		}
	}
}
