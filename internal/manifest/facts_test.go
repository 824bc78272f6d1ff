// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"

	"noderestriction.plus/internal/manifest"
)

func TestFactsKeepsWhatLookUpsAskFor(t *testing.T) {
	facts, err := manifest.Facts([]byte(`
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Node, metadata: {name: worker-1, uid: node-uid, labels: {a: b}}}
- {apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop}, spec: {volumes: [{name: v, configMap: {name: c}}]}}
- {apiVersion: v1, kind: ServiceAccount, metadata: {name: web, namespace: shop, uid: account-uid}}
- {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data, namespace: shop}, spec: {volumeName: pv}}
---
{apiVersion: v1, kind: PersistentVolume, metadata: {name: pv}, spec: {csi: {driver: d, volumeHandle: h}}}
---
{apiVersion: storage.k8s.io/v1, kind: CSIDriver, metadata: {name: d}, spec: {tokenRequests: [{audience: a}]}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: passed-over}, data: {a: b}}
`))
	if err != nil {
		t.Fatal(err)
	}
	node, found, _ := facts.Node("worker-1")
	if !found || node.UID != "node-uid" || node.Labels["a"] != "b" {
		t.Errorf("the Node: %v, %+v", found, node)
	}
	pod, found, _ := facts.Pod("shop", "web")
	if !found || pod.Spec.Volumes[0].ConfigMap.Name != "c" {
		t.Errorf("the pod: %v, %+v", found, pod)
	}
	if account, found, _ := facts.ServiceAccount("shop", "web"); !found || account.UID != "account-uid" {
		t.Errorf("the service account: %v, %+v", found, account)
	}
	if claim, found, _ := facts.PersistentVolumeClaim("shop", "data"); !found || claim.Spec.VolumeName != "pv" {
		t.Errorf("the claim: %v, %+v", found, claim)
	}
	if volume, found, _ := facts.PersistentVolume("pv"); !found || volume.Spec.CSI.Driver != "d" {
		t.Errorf("the volume: %v, %+v", found, volume)
	}
	if driver, found, _ := facts.CSIDriver("d"); !found || driver.Spec.TokenRequests[0].Audience != "a" {
		t.Errorf("the driver: %v, %+v", found, driver)
	}
	if _, found, _ := facts.Pod("other", "web"); found {
		t.Error("a pod is found in another namespace")
	}
}

func TestFactsRefuses(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"an object without a name": {
			`{apiVersion: v1, kind: Pod, metadata: {namespace: shop}}`, "object 1: metadata.name is missing",
		},
		"an object without a kind":  {`{apiVersion: v1, metadata: {name: a}}`, "object 1: kind is missing"},
		"a field of the wrong form": {`{apiVersion: v1, kind: Node, metadata: {name: 1}}`, "object 1: "},
		"what is not YAML":          {`{`, "document 1: "},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := manifest.Facts([]byte(test.text)); err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// question is what an authorizer is asked.
type question = authorizationv1.SubjectAccessReviewSpec

func TestFactsAuthorized(t *testing.T) {
	const (
		clusterRole = `{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: r}, rules: [
			{apiGroups: [""], resources: [vault, pods/log, "*/scale"], resourceNames: [web], verbs: [ask]}]}`
		role = `{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: r, namespace: shop}, rules: [
			{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]}`
		clusterBinding = `{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: b},
			roleRef: {kind: ClusterRole, name: r}, subjects: [{kind: Group, name: "system:nodes"}]}`
		binding = `{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: b, namespace: shop},
			roleRef: {kind: %, name: r}, subjects: [{kind: User, name: worker}, {kind: ServiceAccount, name: agent}]}`
		answer = `{apiVersion: authorization.k8s.io/v1, kind: SubjectAccessReview, status: {allowed: true}, spec: {user: worker,
			resourceAttributes: {verb: ask, resource: vault, namespace: shop, name: web}}}`
	)
	inShop, clusterRoleInShop := strings.Replace(binding, "%", "Role", 1), strings.Replace(binding, "%", "ClusterRole", 1)
	ask := func(change func(*question)) question {
		spec := question{
			User: "worker", UID: "x", Groups: []string{"system:authenticated", "system:nodes"},
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: "ask", Version: "v1", Resource: "vault", Namespace: "shop", Name: "web",
			},
		}
		if change != nil {
			change(&spec)
		}
		return spec
	}
	in := func(namespace string) func(*question) {
		return func(s *question) { s.ResourceAttributes.Namespace = namespace }
	}
	other := func(s *question) { s.User = "x" }
	for name, test := range map[string]struct {
		context []string
		ask     question
		want    bool
	}{
		"nothing is allowed where nothing is known":   {nil, ask(nil), false},
		"a group may do it everywhere":                {[]string{clusterRole, clusterBinding}, ask(in("other")), true},
		"a role without a binding allows nothing":     {[]string{clusterRole}, ask(nil), false},
		"a binding without its role allows nothing":   {[]string{clusterBinding}, ask(nil), false},
		"a user may do it in a namespace":             {[]string{role, inShop}, ask(nil), true},
		"but not in another namespace":                {[]string{role, inShop}, ask(in("other")), false},
		"a ClusterRole may be bound in a namespace":   {[]string{clusterRole, clusterRoleInShop}, ask(nil), true},
		"a ClusterRole of that name is no Role":       {[]string{clusterRole, inShop}, ask(nil), false},
		"an answered review holds for its user":       {[]string{answer}, ask(nil), true},
		"an answered review does not hold for others": {[]string{answer}, ask(other), false},
		"a denied review allows nothing":              {[]string{strings.Replace(answer, "true", "false", 1)}, ask(nil), false},
		"a service account of the binding's namespace": {
			[]string{role, inShop},
			ask(func(s *question) { s.User = "system:serviceaccount:shop:agent" }), true,
		},
		"another name": {[]string{clusterRole, clusterBinding}, ask(func(s *question) {
			s.ResourceAttributes.Name = "db"
		}), false},
		"another verb": {[]string{clusterRole, clusterBinding}, ask(func(s *question) {
			s.ResourceAttributes.Verb = "get"
		}), false},
		"another group of resources": {[]string{clusterRole, clusterBinding}, ask(func(s *question) {
			s.ResourceAttributes.Group = "apps"
		}), false},
		"a subresource": {[]string{clusterRole, clusterBinding}, ask(func(s *question) {
			s.ResourceAttributes.Resource, s.ResourceAttributes.Subresource = "pods", "log"
		}), true},
		"a subresource of any resource": {[]string{clusterRole, clusterBinding}, ask(func(s *question) {
			s.ResourceAttributes.Subresource = "scale"
		}), true},
		"another subresource": {[]string{clusterRole, clusterBinding}, ask(func(s *question) {
			s.ResourceAttributes.Subresource = "log"
		}), false},
	} {
		t.Run(name, func(t *testing.T) {
			// Tabs only lay out the text above; YAML does not take them.
			context := strings.ReplaceAll(strings.Join(test.context, "\n---\n"), "\t", " ")
			facts, err := manifest.Facts([]byte(context))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := facts.Authorized(&test.ask); err != nil || got != test.want {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}
