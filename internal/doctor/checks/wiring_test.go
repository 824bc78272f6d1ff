// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"encoding/json"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/wiring"
)

// inCluster is the recorded cluster with the product behind a Service.
func inCluster(t *testing.T) *Snapshot {
	t.Helper()
	s := (&fixture{}).snapshot(t)
	c := &s.Validating.Value[0]
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		w.MatchConditions = nil // whose digests are not computed here
		w.ClientConfig.URL = nil
		w.ClientConfig.Service = &admissionregistrationv1.ServiceReference{Namespace: "ours", Name: program.Name}
	}
	installed := wiring.Installed{Webhooks: c.DeepCopy().Webhooks}
	for i := range installed.Webhooks {
		installed.Webhooks[i].ClientConfig.CABundle = nil
	}
	data, err := json.Marshal(installed)
	if err != nil {
		t.Fatal(err)
	}
	c.Annotations[wiring.Annotation] = string(data)
	deployment := appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ours", Name: program.Name, Labels: map[string]string{nameLabel: program.Name},
	}}
	deployment.Spec.Template.Spec.ServiceAccountName = "webhook"
	deployment.Spec.Template.Spec.NodeSelector = map[string]string{controlPlaneLabel: ""}
	s.Deployments.Value = []appsv1.Deployment{deployment}
	s.Endpoints.Value = []discoveryv1.EndpointSlice{{Endpoints: []discoveryv1.Endpoint{
		{Addresses: []string{"10.0.0.1"}},
		{Addresses: []string{"10.0.0.2"}},
	}}}
	return s
}

func TestWiringInTheCluster(t *testing.T) {
	ready := false
	for _, test := range []struct {
		name   string
		change func(*Snapshot)
		want   Verdict
		says   string
	}{
		{"as it was installed", func(*Snapshot) {}, OK, ""},
		{"one endpoint is not ready", func(s *Snapshot) {
			s.Endpoints.Value[0].Endpoints[0].Conditions.Ready = &ready
		}, Weak, "one ready endpoint"},
		{"there is no endpoint", func(s *Snapshot) { s.Endpoints.Value = nil }, Bad, "no ready endpoint"},
		{"it runs on any node", func(s *Snapshot) {
			s.Deployments.Value[0].Spec.Template.Spec.NodeSelector = map[string]string{"kubernetes.io/os": "linux", "example.com/pool": "a"}
		}, Weak, "runs on any node"},
		{"endpoints cannot be read", func(s *Snapshot) {
			s.Endpoints.Unknown = &Unknown{Why: "a reason"}
		}, CannotTell, "a reason"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := inCluster(t)
			test.change(s)
			f := (&Check{ID: "wiring", run: runWiring}).Run(s)
			says := ""
			for _, e := range f.Evidence {
				says += e.Says
			}
			for _, m := range f.Missing {
				says += m.Why
			}
			if f.Verdict != test.want || !strings.Contains(says, test.says) {
				t.Errorf("verdict %q, want %q with %q: %+v %+v", f.Verdict, test.want, test.says, f.Evidence, f.Missing)
			}
		})
	}
}

// TestHelmRestoresExpressions tests that a changed expression is restored from Helm's release.
func TestHelmRestoresExpressions(t *testing.T) {
	s := (&fixture{}).snapshot(t)
	c := &s.Validating.Value[0]
	c.Annotations["meta.helm.sh/release-name"], c.Annotations["meta.helm.sh/release-namespace"] = "nrp", "ours"
	c.Webhooks[0].MatchConditions[0].Expression = "false"
	f := (&Check{ID: "wiring", run: runWiring}).Run(s)
	const want = "helm get manifest nrp --namespace=ours | kubectl apply --server-side --force-conflicts -f -"
	if len(f.Evidence) != 1 || f.Evidence[0].Verdict != Bad || f.Evidence[0].Fix.Command != want {
		t.Errorf("%+v, want the fix %s", f.Evidence, want)
	}
}

func TestLabelsThatNoKubeletSets(t *testing.T) {
	for label, want := range map[string]bool{
		controlPlaneLabel:                        true,
		"node-restriction.kubernetes.io/trusted": true,
		"example.com/pool":                       false,
		"pool":                                   false,
		"kubernetes.io/hostname":                 false,
		"kubernetes.io/role":                     true,
		"topology.kubernetes.io/zone":            false,
		"node.kubernetes.io/instance-type":       false,
		"kubelet.kubernetes.io/x":                false,
	} {
		if got := noKubeletSets(label); got != want {
			t.Errorf("%s: %t, want %t", label, got, want)
		}
	}
}
