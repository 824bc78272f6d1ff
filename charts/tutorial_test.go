// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	policyv1 "k8s.io/api/policy/v1"

	"noderestriction.plus/api/v1alpha1"
)

// TestTutorialsValuesAreForOneNode renders the chart with the values of docs/tutorial.md.
func TestTutorialsValuesAreForOneNode(t *testing.T) {
	r := render(t, "--values", "../config/tutorial/values.yaml")
	d := get[*appsv1.Deployment](t, r, chart)
	if *d.Spec.Replicas != 1 || d.Spec.Template.Spec.NodeSelector["node-role.kubernetes.io/control-plane"] != "" ||
		len(d.Spec.Template.Spec.NodeSelector) != 1 {
		t.Errorf("%d replicas, on nodes with %v", *d.Spec.Replicas, d.Spec.Template.Spec.NodeSelector)
	}
	if image := d.Spec.Template.Spec.Containers[0].Image; image != "node-restriction-plus:tutorial" {
		t.Errorf("the image is %s, which docs/tutorial.md does not build", image)
	}
	p := get[*v1alpha1.NodeRestrictionPolicy](t, r, "recommended")
	if len(p.Spec.ValidationActions) != 1 || p.Spec.ValidationActions[0] != v1alpha1.Deny {
		t.Errorf("the policy has the actions %v", p.Spec.ValidationActions)
	}
	if _, found := find[*policyv1.PodDisruptionBudget](r, chart); found {
		t.Error("there is a PodDisruptionBudget")
	}
}

// TestTutorialsClusterHasTheNodesOfThePage checks that the names of nodes on the page are those that kind gives.
func TestTutorialsClusterHasTheNodesOfThePage(t *testing.T) {
	var cluster struct {
		Kind       string `json:"kind"`
		APIVersion string `json:"apiVersion"`
		Nodes      []struct {
			Role string `json:"role"`
		} `json:"nodes"`
	}
	data, err := os.ReadFile("../config/tutorial/kind.yaml")
	if err != nil {
		t.Fatal(err)
	}
	strictly(t, string(data), &cluster)
	known := map[string]bool{}
	for _, n := range cluster.Nodes {
		known["nrp-"+n.Role] = true // the name of the cluster, and the role, as long as there is one of each
	}
	if len(known) != 2 || len(cluster.Nodes) != 2 {
		t.Errorf("the nodes are %v", cluster.Nodes)
	}
	page, err := os.ReadFile("../docs/tutorial.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`\bnrp-[a-z-]+`).FindAllString(string(page), -1) {
		if !known[name] && !strings.HasSuffix(name, "-nrp") {
			t.Errorf("kind makes no node %s", name)
		}
	}
	if !strings.Contains(string(page), "kind create cluster --name nrp --config config/tutorial/kind.yaml") {
		t.Error("the page makes another cluster")
	}
}
