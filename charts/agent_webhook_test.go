// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/internal/review"
	"noderestriction.plus/internal/wiring"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

const (
	agentWebhook = "agents.noderestriction.plus"
	awsNode      = "system:serviceaccount:kube-system:aws-node"
	ovnNode      = "system:ovn-node:worker-1"
	// agentValues name a service account, a prefix and an object.
	agentValues = `subjects={"serviceAccounts":[{"namespace":"kube-system","name":"aws-node"}],"usernamePrefixes":["system:ovn-node:"],` +
		`"objects":[{"apiGroup":"resource.k8s.io","resource":"resourceslices","node":"spec.nodeName"}]}`
)

// webhookNamed returns a webhook that the chart renders, or nil.
func webhookNamed(r rendered, name string) *admissionregistrationv1.ValidatingWebhook {
	for i := range r.webhooks.Webhooks {
		if r.webhooks.Webhooks[i].Name == name {
			return &r.webhooks.Webhooks[i]
		}
	}
	return nil
}

// TestAgentsChangeNothingForKubelets compares the other webhooks, and the floor, with and without agents.
func TestAgentsChangeNothingForKubelets(t *testing.T) {
	const policyOfAgents = `policies.extra={"agents":{"validationActions":["Deny"],"subjects":{"serviceAccounts":[{"namespace":"a","name":"b"}]},` +
		`"nodes":{"finalizers":{},"self":{}},"pods":{"self":{}}}}`
	for _, more := range [][]string{nil, {"--set", "webhook.url=https://10.0.0.1,webhook.followPolicies=true"}, everything()} {
		before := render(t, more...)
		for _, set := range []string{agentValues, policyOfAgents} {
			after := render(t, append(slices.Clone(more), "--set-json", set)...)
			agents := webhookNamed(after, agentWebhook)
			if agents == nil || len(agents.Rules) == 0 {
				t.Fatalf("%v: there is no webhook for the agents", more)
			}
			for i := range after.webhooks.Webhooks {
				w := &after.webhooks.Webhooks[i]
				if w.Name != agentWebhook && !reflect.DeepEqual(w, webhookNamed(before, w.Name)) {
					t.Errorf("%v: %s is another than without agents", more, w.Name)
				}
			}
			if got, want := policyNames(after), policyNames(before); !slices.Equal(got, want) {
				t.Errorf("%v: the policies are %v, without agents %v", more, got, want)
			}
		}
		if w := webhookNamed(before, agentWebhook); w != nil && len(w.Rules) > 0 {
			t.Errorf("%v: without agents, something is sent: %v", more, w.Rules)
		}
	}
}

func policyNames(r rendered) []string {
	var names []string
	for _, object := range r.objects {
		if p, is := object.(*admissionregistrationv1.ValidatingAdmissionPolicy); is {
			names = append(names, p.Name)
		}
	}
	return names
}

// TestAgentWebhook holds the webhook of agents to what holds for the others, with the exceptions that its objects need.
func TestAgentWebhook(t *testing.T) {
	for _, profile := range []string{"balanced", "observe", "strict", "controlPlane"} {
		w := webhookNamed(render(t, "--set", "profile="+profile, "--set-json", agentValues), agentWebhook)
		checkWebhook(t, w)
		if *w.FailurePolicy != admissionregistrationv1.Ignore || *w.TimeoutSeconds != 1 {
			t.Errorf("%s: failurePolicy is %s, and timeoutSeconds %d: agents must work before the webhook can", profile, *w.FailurePolicy, *w.TimeoutSeconds)
		}
		for _, rule := range w.Rules {
			if !slices.Equal(rule.APIGroups, []string{"resource.k8s.io"}) {
				checkRules(t, []admissionregistrationv1.RuleWithOperations{rule})
			} else if !slices.Equal(rule.APIVersions, []string{"*"}) || !slices.Equal(rule.Resources, []string{"resourceslices", "resourceslices/status"}) {
				t.Errorf("%s: the objects are sent by %+v", profile, rule)
			}
		}
	}
}

// TestAgentWebhookIsSentWhatRulesLookAt compares the rules of the webhook with those that are for agents, both ways.
func TestAgentWebhookIsSentWhatRulesLookAt(t *testing.T) {
	wanted, sent := map[write]bool{}, map[write]bool{}
	for _, rule := range rules.All() {
		if rule.ID == "lockdown" {
			continue // of what the others look at
		}
		for _, target := range rule.Agents.Targets {
			for _, op := range target.Operations {
				wanted[write{op, strings.TrimSuffix(target.Resource+"/"+target.Subresource, "/")}] = true
			}
		}
	}
	accounts := `subjects.serviceAccounts=[{"namespace":"kube-system","name":"aws-node"}]`
	for _, rule := range webhookNamed(render(t, "--set-json", accounts), agentWebhook).Rules {
		for _, op := range rule.Operations {
			for _, resource := range rule.Resources {
				if resource != "csinodes" { // for the probe
					sent[write{admissionv1.Operation(op), qualified(resource, rule.APIGroups[0])}] = true
				}
			}
		}
	}
	if !maps.Equal(wanted, sent) {
		t.Errorf("the rules look at %v, sent are %v", wanted, sent)
	}
}

// agentNode is a Node as agents write it.
func agentNode(name string) []byte {
	return mustMarshal(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
}

// TestAgentWrites says which webhooks are called for writes of agents and of others.
func TestAgentWrites(t *testing.T) {
	c := newCaller(t, append([]string{"--set-json", agentValues}, everything()...)...)
	update := func(resource, subresource string, object []byte) policy.Request {
		return policy.Request{Write: policy.Write{
			Operation: admissionv1.Update, Resource: resource, Subresource: subresource, Name: "worker-1", Object: object, OldObject: object,
		}}
	}
	slice := mustMarshal(emptySlice("v1beta2"))
	slices1 := update("resourceslices.resource.k8s.io", "", slice)
	slices1.Version = "v1beta2"
	for name, test := range map[string]struct {
		user string
		r    policy.Request
		sent bool
	}{
		"a Node by a service account":                     {awsNode, update("nodes", "", agentNode("worker-1")), true},
		"the status of a Node by a service account":       {awsNode, update("nodes", "status", agentNode("worker-1")), true},
		"a Node by a user with the prefix":                {ovnNode, update("nodes", "", agentNode("worker-1")), true},
		"a ResourceSlice of another version":              {awsNode, slices1, true},
		"another resource":                                {awsNode, update("persistentvolumeclaims", "", []byte(`{}`)), false},
		"the same account of another namespace":           {"system:serviceaccount:default:aws-node", update("nodes", "", agentNode("a")), false},
		"an account whose name begins the same":           {awsNode + "-2", update("nodes", "", agentNode("a")), false},
		"a user whose name has the prefix further behind": {"a:" + ovnNode, update("nodes", "", agentNode("a")), false},
		"an administrator":                                {"kubernetes-admin", update("nodes", "", agentNode("a")), false},
	} {
		called, failed := c.calls(test.user, test.r)
		var want []string
		if test.sent {
			want = []string{agentWebhook}
		}
		if !slices.Equal(called, want) || len(failed) > 0 {
			t.Errorf("%s: it calls %v, want %v; conditions of %v fail", name, called, want, failed)
		}
	}
}

// TestOwnPodsOfAgents leaves the webhook's own pods to agents on their node, as it does to the kubelet.
func TestOwnPodsOfAgents(t *testing.T) {
	c := newCaller(t, "--set-json", agentValues)
	pod := func(name, namespace, node string, annotations map[string]string) []byte {
		return mustMarshal(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Annotations: annotations}, Spec: corev1.PodSpec{NodeName: node},
		})
	}
	own := chart + "-a"
	for name, test := range map[string]struct {
		user authenticationv1.UserInfo
		r    policy.Write
		sent bool
	}{
		"the status of a pod of its node": {review.ServiceAccountOf("kube-system", "aws-node", "worker-1"), policy.Write{
			Operation: admissionv1.Update, Subresource: "status", Namespace: "security", Name: own, OldObject: pod(own, "security", "worker-1", nil),
		}, false},
		"the same with a prefix": {authenticationv1.UserInfo{Username: ovnNode}, policy.Write{
			Operation: admissionv1.Update, Subresource: "status", Namespace: "security", Name: own, OldObject: pod(own, "security", "worker-1", nil),
		}, false},
		"the deletion of a pod of its node": {review.ServiceAccountOf("kube-system", "aws-node", "worker-1"), policy.Write{
			Operation: admissionv1.Delete, Namespace: "security", Name: own, OldObject: pod(own, "security", "worker-1", nil),
		}, false},
		"a pod of another node": {review.ServiceAccountOf("kube-system", "aws-node", "worker-2"), policy.Write{
			Operation: admissionv1.Update, Subresource: "status", Namespace: "security", Name: own, OldObject: pod(own, "security", "worker-1", nil),
		}, true},
		"a pod of its node, with a token without a node": {review.ServiceAccountOf("kube-system", "aws-node", ""), policy.Write{
			Operation: admissionv1.Update, Subresource: "status", Namespace: "security", Name: own, OldObject: pod(own, "security", "worker-1", nil),
		}, true},
		"a pod of no node, with a token without a node": {review.ServiceAccountOf("kube-system", "aws-node", ""), policy.Write{
			Operation: admissionv1.Update, Subresource: "status", Namespace: "security", Name: own, OldObject: pod(own, "security", "", nil),
		}, true},
		"an update of a pod": {review.ServiceAccountOf("kube-system", "aws-node", "worker-1"), policy.Write{
			Operation: admissionv1.Update, Namespace: "security", Name: own, OldObject: pod(own, "security", "worker-1", nil),
		}, true},
		"a pod of another namespace": {review.ServiceAccountOf("kube-system", "aws-node", "worker-1"), policy.Write{
			Operation: admissionv1.Update, Subresource: "status", Namespace: "default", Name: own, OldObject: pod(own, "default", "worker-1", nil),
		}, true},
		"a mirror pod": {review.ServiceAccountOf("kube-system", "aws-node", "worker-1"), policy.Write{
			Operation: admissionv1.Update, Subresource: "status", Namespace: "security", Name: own,
			OldObject: pod(own, "security", "worker-1", map[string]string{corev1.MirrorPodAnnotationKey: "a"}),
		}, true},
	} {
		test.r.Resource = "pods"
		if test.r.Operation != admissionv1.Delete {
			test.r.Object = test.r.OldObject
		}
		called, failed := c.calls(test.user.Username, policy.Request{Write: test.r, User: test.user})
		if sent := slices.Equal(called, []string{agentWebhook}); sent != test.sent || len(failed) > 0 || !sent && len(called) > 0 {
			t.Errorf("%s: it calls %v; conditions of %v fail", name, called, failed)
		}
	}
}

// TestAgentsOfPolicies sends what the chart's own policies name, beside the values, each once.
func TestAgentsOfPolicies(t *testing.T) {
	r := render(t, "--set-json", agentValues, "--set-json", `policies.extra={"a":{"validationActions":["Audit"],`+
		`"subjects":{"serviceAccounts":[{"namespace":"kube-system","name":"kured"},{"namespace":"kube-system","name":"aws-node"}]},`+
		`"nodes":{"self":{}},"objects":[{"resource":"configmaps","node":"metadata.name"},`+
		`{"apiGroup":"resource.k8s.io","resource":"resourceslices","node":"spec.nodeName"}]}}`)
	installed := annotation[wiring.Installed](t, r.webhooks)
	want := &wiring.Agents{
		Accounts: []string{awsNode, "system:serviceaccount:kube-system:kured"}, Prefixes: []string{"system:ovn-node:"},
	}
	if !reflect.DeepEqual(installed.Agents, want) {
		t.Errorf("the annotation has %+v, want %+v", installed.Agents, want)
	}
	var objects []string
	for _, rule := range webhookNamed(r, agentWebhook).Rules {
		if slices.Contains(rule.APIVersions, "*") {
			objects = append(objects, rule.Resources[0]+"."+rule.APIGroups[0])
		}
	}
	if !slices.Equal(objects, []string{"resourceslices.resource.k8s.io", "configmaps."}) {
		t.Errorf("the objects are %v", objects)
	}
	if annotation[wiring.Installed](t, render(t).webhooks).Agents != nil {
		t.Error("the annotation has agents, but no value names any")
	}
}

// TestAgentValues renders values of node agents that the schema or the chart refuses, with a part of the error.
func TestAgentValues(t *testing.T) {
	const account = `"serviceAccounts":[{"namespace":"a","name":"b"}]`
	for name, test := range map[string]struct{ values, message string }{
		"a text for an account":         {`{"serviceAccounts":["kube-system/aws-node"]}`, "/subjects/serviceAccounts/0"},
		"an account without a name":     {`{"serviceAccounts":[{"namespace":"a"}]}`, "missing property 'name'"},
		"a name that breaks out":        {`{"serviceAccounts":[{"namespace":"a","name":"b' || 'a"}]}`, "/subjects/serviceAccounts/0/name"},
		"a prefix without a colon":      {`{"usernamePrefixes":["system"]}`, "/subjects/usernamePrefixes/0"},
		"a path that is an expression":  {`{` + account + `,"objects":[{"resource":"a","node":"spec.a || true"}]}`, "/subjects/objects/0/node"},
		"objects of nobody":             {`{"objects":[{"resource":"a","node":"spec.a"}]}`, "subjects.objects: needs"},
		"a floor under nobody":          {`{"floor":{"enabled":true,"withoutNode":"Deny"}}`, "subjects.floor.enabled: needs"},
		"another word for withoutNode":  {`{` + account + `,"floor":{"enabled":true,"withoutNode":"Ignore"}}`, "/subjects/floor/withoutNode"},
		"an unknown value":              {`{"accounts":[]}`, "'accounts'"},
		"a subject of RBAC":             {`{"serviceAccounts":[{"kind":"ServiceAccount","namespace":"a","name":"b"}]}`, "'kind'"},
		"a floor with profile observe":  {`{` + account + `,"floor":{"enabled":true}}`, "subjects.floor.enabled: the profile observe"},
		"a resource that is not one":    {`{` + account + `,"objects":[{"resource":"a/b","node":"spec.a"}]}`, "/subjects/objects/0/resource"},
		"a group that is an expression": {`{` + account + `,"objects":[{"apiGroup":"a\" || \"","resource":"a","node":"a"}]}`, "/subjects/objects/0/apiGroup"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var values map[string]any
			if err := json.Unmarshal([]byte(test.values), &values); err != nil {
				t.Fatal(err)
			}
			arguments := []string{"--set-json", "subjects=" + test.values}
			if strings.Contains(test.message, "observe") {
				arguments = append(arguments, "--set", "profile=observe")
			}
			out, err := helmTemplate(t, arguments...)
			if err == nil {
				t.Fatalf("it is accepted:\n%s", out)
			}
			if !strings.Contains(err.Error(), test.message) {
				t.Errorf("the error does not say %q: %v", test.message, err)
			}
		})
	}
}

// TestAgentValuesOfTheCRD renders values that the CRD refuses by an expression, in the chart's value and in a policy of the chart. A prefix
// that covers service accounts would have the floor deny what controllers write.
func TestAgentValuesOfTheCRD(t *testing.T) {
	const covers, sections = "must not cover kubelets or service accounts", "policies have sections for"
	const floor = `"floor":{"enabled":true,"withoutNode":"Deny"}`
	for name, test := range map[string]struct{ values, message string }{
		"the prefix of all of Kubernetes":     {`"usernamePrefixes":["system:ovn-node:","system:"]`, covers},
		"the prefix of kubelets":              {`"usernamePrefixes":["system:node:"]`, covers},
		"a prefix of one kubelet":             {`"usernamePrefixes":["system:node:a:"]`, covers},
		"the prefix of service accounts":      {`"usernamePrefixes":["system:serviceaccount:"]`, covers},
		"the service accounts of kube-system": {`"usernamePrefixes":["system:serviceaccount:kube-system:"]`, covers},
		"Nodes as objects":                    {`"usernamePrefixes":["system:ovn-node:"],"objects":[{"resource":"nodes","node":"metadata.name"}]`, sections},
		"pods as objects": {
			`"usernamePrefixes":["system:ovn-node:"],"objects":[{"resource":"configmaps","node":"a"},{"resource":"pods","node":"spec.nodeName"}]`,
			sections,
		},
	} {
		subjects, objects, _ := strings.Cut(test.values, `,"objects"`)
		if objects != "" {
			objects = `,"objects"` + objects
		}
		for value, arguments := range map[string][]string{
			"subjects": {"--set-json", "subjects={" + test.values + "," + floor + "}"},
			"policies.extra.own": {
				"--set-json", `policies.extra={"own":{"validationActions":["Audit"],"subjects":{` + subjects + `}` + objects + `}}`,
			},
		} {
			t.Run(name+" in "+value, func(t *testing.T) {
				t.Parallel()
				out, err := helmTemplate(t, arguments...)
				if err == nil {
					t.Fatalf("it is accepted:\n%s", out)
				}
				if message := err.Error(); !strings.Contains(message, value+": ") || !strings.Contains(message, test.message) {
					t.Errorf("the error does not name %s and say %q: %v", value, test.message, err)
				}
			})
		}
	}
}

// TestAgentPermissions adds no permission for agents, and one for their floor: to compare it with what was installed.
func TestAgentPermissions(t *testing.T) {
	before := permissions(t, render(t))
	if after := permissions(t, render(t, "--set-json", agentValues)); !slices.Equal(before, after) {
		t.Errorf("the permissions are %v, without agents %v", after, before)
	}
	for _, p := range permissions(t, render(t, "--set-json", agentValues, "--set", "subjects.floor.enabled=true")) {
		known := strings.Replace(p, " node-restriction-plus.agents", "", 1)
		if !slices.Contains(before, p) && !slices.Contains(before, known) {
			t.Errorf("the floor adds %s", p)
		}
	}
}
