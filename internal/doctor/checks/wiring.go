// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/internal/wiring"
)

func wiringCheck() Check {
	list := func(group, resource string) authorization.Request {
		return authorization.Request{Verb: "list", Group: group, Resource: resource}
	}
	return Check{
		ID: "wiring", Severity: nodeauthorizer.High, Worst: Bad,
		Asks: "Is NodeRestriction-plus installed, unchanged, reachable and on nodes that you trust?",
		Gain: "writes what the policies deny",
		How: "It compares the webhook configuration and the floor with what was installed, which the objects themselves say: selectors" +
			" that exempt," +
			" rules, failurePolicy, match conditions. It reads when the CA ends, how many endpoints are ready, whether their nodes are" +
			" chosen by a label that no kubelet can set, and the conditions of the policies.",
		Needs: []authorization.Request{
			list(admissionGroup, "validatingwebhookconfigurations"), list(admissionGroup, "validatingadmissionpolicies"),
			list(admissionGroup, "validatingadmissionpolicybindings"), list("noderestriction.plus", "noderestrictionpolicies"),
			list("discovery.k8s.io", "endpointslices"), list("apps", "deployments"), list("apps", "daemonsets"),
		},
		run: runWiring,
	}
}

const nameLabel = "app.kubernetes.io/name"

func runWiring(s *Snapshot, f *Finding) {
	configurations, ok := known(s, f, &s.Validating)
	if !ok {
		return
	}
	in := InstallOf(configurations)
	if in.Configuration == nil {
		f.weak("ValidatingWebhookConfiguration "+text.Quote(program.Name), "", Fix{
			Note: "install it (docs/install.md); with files on the control plane there is no object to compare, and kubectl nrp attack says" +
				" whether it works",
		}, "it does not exist, so nothing restricts what the Node authorizer and the NodeRestriction plugin leave open")
		return
	}
	f.compareConfiguration(&in)
	f.compareFloor(s, &in)
	f.judgeCA(&in, s.Now)
	f.judgeEndpoints(s, &in)
	f.judgePolicies(s)
}

func (f *Finding) difference(d wiring.Difference, object string, fix Fix) {
	if d.Weaker {
		f.bad(object, d.Part, fix, "%s", d.Text)
		return
	}
	f.weak(object, d.Part, fix, "%s", d.Text)
}

func (f *Finding) compareConfiguration(in *Install) {
	object := "ValidatingWebhookConfiguration " + text.Quote(in.name())
	installed, err := wiring.Decode[wiring.Installed](in.Configuration.Annotations)
	if err != nil {
		f.weak(object, "metadata.annotations", in.again(), "%v", err)
		return
	}
	for _, want := range installed.Webhooks {
		at := slices.IndexFunc(in.Configuration.Webhooks, func(w admissionregistrationv1.ValidatingWebhook) bool { return w.Name == want.Name })
		wanted := []admissionregistrationv1.ValidatingWebhook{want}
		fix, have := in.again(), []admissionregistrationv1.ValidatingWebhook{}
		if at >= 0 {
			have = append(have, in.Configuration.Webhooks[at])
			if operations := restore(at, &want, &have[0]); len(operations) > 0 {
				rest := in.again()
				fix = jsonPatch("validatingwebhookconfiguration", "", in.name(), operations)
				if again := restoresAll(&want, &have[0]); !again {
					fix.Note = "changed expressions stay: " + strings.TrimSpace(rest.Command+" "+rest.Note)
				}
			}
		}
		for _, d := range wiring.CompareWebhooks(wanted, have) {
			f.difference(d, object, fix)
		}
	}
	for i := range in.Configuration.Webhooks {
		w := &in.Configuration.Webhooks[i]
		if slices.ContainsFunc(installed.Webhooks, func(want admissionregistrationv1.ValidatingWebhook) bool { return w.Name == want.Name }) {
			continue
		}
		at := fmt.Sprintf("/webhooks/%d", i)
		fix := jsonPatch("validatingwebhookconfiguration", "", in.name(), []patchOperation{{"test", at + "/name", w.Name}, {
			Op:   "remove",
			Path: at,
		}})
		for _, d := range wiring.CompareWebhooks(nil, []admissionregistrationv1.ValidatingWebhook{*w}) {
			f.difference(d, object, fix)
		}
	}
}

// restore returns the operations that restore a webhook, as far as it is known.
func restore(index int, want, have *admissionregistrationv1.ValidatingWebhook) []patchOperation {
	at := fmt.Sprintf("/webhooks/%d", index)
	operations := []patchOperation{{"test", at + "/name", want.Name}}
	set := func(field string, differs bool, value any) {
		if differs {
			operations = append(operations, patchOperation{"add", at + "/" + field, value})
		}
	}
	fail, equivalent := admissionregistrationv1.Fail, admissionregistrationv1.Equivalent
	policy, match := or(want.FailurePolicy, fail), or(want.MatchPolicy, equivalent)
	set("failurePolicy", policy != or(have.FailurePolicy, fail), policy)
	set("matchPolicy", match != or(have.MatchPolicy, equivalent), match)
	set("rules", !equality.Semantic.DeepEqual(want.Rules, have.Rules), want.Rules)
	set("timeoutSeconds", or(want.TimeoutSeconds, 10) != or(have.TimeoutSeconds, 10), or(want.TimeoutSeconds, 10))
	set("namespaceSelector", !sameSelector(want.NamespaceSelector, have.NamespaceSelector), or(want.NamespaceSelector, metav1.LabelSelector{}))
	set("objectSelector", !sameSelector(want.ObjectSelector, have.ObjectSelector), or(want.ObjectSelector, metav1.LabelSelector{}))
	set("admissionReviewVersions", !slices.Equal(want.AdmissionReviewVersions, have.AdmissionReviewVersions), want.AdmissionReviewVersions)
	if !equality.Semantic.DeepEqual(want.ClientConfig.Service, have.ClientConfig.Service) ||
		or(want.ClientConfig.URL, "") != or(have.ClientConfig.URL, "") {
		client := want.ClientConfig
		client.CABundle = have.ClientConfig.CABundle
		set("clientConfig", true, client)
	}
	for i, c := range slices.Backward(have.MatchConditions) {
		if !slices.ContainsFunc(want.MatchConditions, func(w admissionregistrationv1.MatchCondition) bool { return w.Name == c.Name }) {
			condition := fmt.Sprintf("%s/matchConditions/%d", at, i)
			operations = append(operations, patchOperation{"test", condition + "/name", c.Name}, patchOperation{Op: "remove", Path: condition})
		}
	}
	if len(operations) == 1 {
		return nil
	}
	return operations
}

// restoresAll reports whether no match condition is missing or changed.
func restoresAll(want, have *admissionregistrationv1.ValidatingWebhook) bool {
	only := func(w *admissionregistrationv1.ValidatingWebhook) []admissionregistrationv1.ValidatingWebhook {
		return []admissionregistrationv1.ValidatingWebhook{{Name: w.Name, MatchConditions: w.MatchConditions}}
	}
	kept := *have
	kept.MatchConditions = slices.DeleteFunc(slices.Clone(have.MatchConditions), func(c admissionregistrationv1.MatchCondition) bool {
		return !slices.ContainsFunc(want.MatchConditions, func(w admissionregistrationv1.MatchCondition) bool { return w.Name == c.Name })
	})
	return len(wiring.CompareWebhooks(only(want), only(&kept))) == 0
}

func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

func sameSelector(a, b *metav1.LabelSelector) bool {
	return equality.Semantic.DeepEqual(or(a, metav1.LabelSelector{}), or(b, metav1.LabelSelector{}))
}

func (f *Finding) compareFloor(s *Snapshot, in *Install) {
	names := in.floor()
	if len(names) == 0 {
		return
	}
	policies, ok := known(s, f, &s.Floor)
	if !ok {
		return
	}
	bindings, ok := known(s, f, &s.Bindings)
	if !ok {
		return
	}
	for _, name := range names {
		if at := slices.IndexFunc(policies, func(p admissionregistrationv1.ValidatingAdmissionPolicy) bool { return p.Name == name }); at < 0 {
			f.difference(wiring.MissingFromFloor("ValidatingAdmissionPolicy", name), "ValidatingAdmissionPolicy "+text.Quote(name), in.again())
		} else {
			f.comparePolicy(in, &policies[at])
		}
		if at := slices.IndexFunc(bindings,
			func(b admissionregistrationv1.ValidatingAdmissionPolicyBinding) bool { return b.Name == name }); at < 0 {
			f.difference(wiring.MissingFromFloor("ValidatingAdmissionPolicyBinding", name), "ValidatingAdmissionPolicyBinding "+text.Quote(name),
				in.again())
		} else {
			f.compareBinding(in, &bindings[at])
		}
	}
}

func (f *Finding) comparePolicy(in *Install, have *admissionregistrationv1.ValidatingAdmissionPolicy) {
	object := "ValidatingAdmissionPolicy " + text.Quote(have.Name)
	want, err := wiring.Decode[admissionregistrationv1.ValidatingAdmissionPolicySpec](have.Annotations)
	if err != nil {
		f.weak(object, "metadata.annotations", in.again(), "%v", err)
		return
	}
	fix := in.again()
	var operations []patchOperation
	policy := or(want.FailurePolicy, admissionregistrationv1.Fail)
	if policy != or(have.Spec.FailurePolicy, admissionregistrationv1.Fail) {
		operations = append(operations, patchOperation{"add", "/spec/failurePolicy", policy})
	}
	if wanted, found := or(want.MatchConstraints, admissionregistrationv1.MatchResources{}),
		or(have.Spec.MatchConstraints, admissionregistrationv1.MatchResources{}); !sameMatch(wanted, found) {
		operations = append(operations, patchOperation{"add", "/spec/matchConstraints", wanted})
	}
	if len(operations) > 0 {
		fix = jsonPatch("validatingadmissionpolicy", "", have.Name, operations)
	}
	for _, d := range wiring.ComparePolicy(have.Name, want, &have.Spec) {
		f.difference(d, object, fix)
	}
}

// sameMatch compares what policies match, without the defaults that an API server sets.
func sameMatch(a, b admissionregistrationv1.MatchResources) bool {
	same := equality.Semantic.DeepEqual(a.ExcludeResourceRules, b.ExcludeResourceRules) && sameSelector(a.NamespaceSelector,
		b.NamespaceSelector) &&
		sameSelector(a.ObjectSelector, b.ObjectSelector) &&
		or(a.MatchPolicy, admissionregistrationv1.Equivalent) == or(b.MatchPolicy, admissionregistrationv1.Equivalent)
	return same && len(a.ResourceRules) == len(b.ResourceRules) && slices.EqualFunc(a.ResourceRules, b.ResourceRules,
		func(x, y admissionregistrationv1.NamedRuleWithOperations) bool {
			return slices.Equal(x.Resources, y.Resources) && slices.Equal(x.Operations, y.Operations) && slices.Equal(x.APIGroups, y.APIGroups) &&
				slices.Equal(x.APIVersions, y.APIVersions) && slices.Equal(x.ResourceNames, y.ResourceNames) &&
				or(x.Scope, admissionregistrationv1.AllScopes) == or(y.Scope, admissionregistrationv1.AllScopes)
		})
}

func (f *Finding) compareBinding(in *Install, have *admissionregistrationv1.ValidatingAdmissionPolicyBinding) {
	object := "ValidatingAdmissionPolicyBinding " + text.Quote(have.Name)
	want, err := wiring.Decode[admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec](have.Annotations)
	if err != nil {
		f.weak(object, "metadata.annotations", in.again(), "%v", err)
		return
	}
	fix := jsonPatch("validatingadmissionpolicybinding", "", have.Name, []patchOperation{{"replace", "/spec", want}})
	for _, d := range wiring.CompareBinding(have.Name, want, &have.Spec) {
		f.difference(d, object, fix)
	}
}

// judgeCA looks at the CAs with which the API server verifies the webhooks.
func (f *Finding) judgeCA(in *Install, now time.Time) {
	const soon = 14 * 24 * time.Hour
	object := "ValidatingWebhookConfiguration " + text.Quote(in.name())
	seen := map[string]bool{}
	for i := range in.Configuration.Webhooks {
		client := &in.Configuration.Webhooks[i].ClientConfig
		if seen[string(client.CABundle)] {
			continue
		}
		seen[string(client.CABundle)] = true
		field := fmt.Sprintf("webhooks[%d].clientConfig.caBundle", i)
		fix := Fix{Note: "see docs/certificates.md"}
		if in.Namespace != "" {
			fix = shell(OnCluster, "kubectl", "rollout", "restart", "deployment", "--namespace="+in.Namespace,
				"--selector="+nameLabel+"="+program.Name)
			fix.Note = "the webhook issues a new certificate if it does so itself; see docs/certificates.md"
		}
		last, count := lastCA(client.CABundle)
		switch {
		case len(client.CABundle) == 0 && client.URL != nil:
			f.note("the CA of the URL is one of the API server's host")
		case count == 0:
			f.bad(object, field, fix, "it has no CA, so no API server can call the webhook")
		case last.Before(now):
			f.bad(object, field, fix, "its CA ended at %s, so no API server can call the webhook", last.UTC().Format(time.RFC3339))
		case last.Sub(now) < soon:
			f.weak(object, field, fix, "its CA ends at %s", last.UTC().Format(time.RFC3339))
		}
	}
}

// lastCA returns when the last of some certificates ends, and how many there are.
func lastCA(bundle []byte) (last time.Time, count int) {
	for len(bundle) > 0 {
		var block *pem.Block
		if block, bundle = pem.Decode(bundle); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue
		}
		count++
		if certificate.NotAfter.After(last) {
			last = certificate.NotAfter
		}
	}
	return last, count
}

// judgeEndpoints looks at where the webhook runs.
func (f *Finding) judgeEndpoints(s *Snapshot, in *Install) {
	if in.Namespace == "" {
		f.note("the webhooks are called at a URL, so where they run is not known here")
		return
	}
	if slices, ok := known(s, f, &s.Endpoints); ok {
		ready := 0
		for i := range slices {
			for _, e := range slices[i].Endpoints {
				if or(e.Conditions.Ready, true) {
					ready += len(e.Addresses)
				}
			}
		}
		object := "Service " + text.Quote(in.Namespace+"/"+in.Service)
		fix := shell(OnCluster, "kubectl", "scale", "deployment", "--namespace="+in.Namespace, "--selector="+nameLabel+"="+program.Name,
			"--replicas=3")
		switch ready {
		case 0:
			f.bad(object, "endpoints", fix, "it has no ready endpoint, so no write is evaluated")
		case 1:
			f.weak(object, "endpoints", fix, "it has one ready endpoint: while it restarts, no write is evaluated")
		}
	}
	deployments, ok := known(s, f, &s.Deployments)
	if !ok {
		return
	}
	for i := range deployments {
		d := &deployments[i]
		if d.Namespace == in.Namespace && d.Labels[nameLabel] == program.Name {
			f.judgePlacement("deployment", "Deployment ", d.Namespace, d.Name, &d.Spec.Template.Spec)
		}
	}
	if sets, ok := known(s, f, &s.DaemonSets); ok {
		for i := range sets {
			d := &sets[i]
			if d.Namespace == in.Namespace && d.Labels[nameLabel] == program.Name {
				f.judgePlacement("daemonset", "DaemonSet ", d.Namespace, d.Name, &d.Spec.Template.Spec)
			}
		}
	}
}

func (f *Finding) judgePlacement(kind, title, namespace, name string, pod *corev1.PodSpec) {
	for label := range pod.NodeSelector {
		if noKubeletSets(label) {
			return
		}
	}
	fix := patchWith(kind, namespace, name, "merge", `{"spec":{"template":{"spec":{"nodeSelector":{"`+controlPlaneLabel+
		`":""},"tolerations":[{"key":"`+controlPlaneLabel+`","operator":"Exists"}]}}}}`)
	fix.Note = "set nodeSelector and tolerations of the chart to the same, or the next upgrade undoes it; on a managed cluster use a" +
		" label below" +
		" node-restriction.kubernetes.io/ on nodes that you trust"
	f.weak(title+text.Quote(namespace+"/"+name), "spec.template.spec.nodeSelector", fix,
		"it runs on any node, and anyone who has stolen that node has its token and its key")
}

// noKubeletSets reports whether the NodeRestriction plugin keeps kubelets from setting a label.
func noKubeletSets(label string) bool {
	domain, name, found := strings.Cut(label, "/")
	if !found {
		return false
	}
	in := func(suffix string) bool { return domain == suffix || strings.HasSuffix(domain, "."+suffix) }
	switch {
	case in("node-restriction.kubernetes.io"):
		return true
	case in("kubelet.kubernetes.io"), in("node.kubernetes.io"):
		return false
	case domain == "kubernetes.io", domain == "beta.kubernetes.io":
		return !slices.Contains([]string{"hostname", "arch", "os", "instance-type"}, name)
	case domain == "topology.kubernetes.io", domain == "failure-domain.beta.kubernetes.io", domain == "failure-domain.kubernetes.io":
		return false
	}
	return in("kubernetes.io") || in("k8s.io")
}

// judgePolicies looks at the policies in force.
func (f *Finding) judgePolicies(s *Snapshot) {
	policies, ok := known(s, f, &s.Policies)
	if !ok {
		return
	}
	denies := false
	for i := range policies {
		p := &policies[i]
		object := "NodeRestrictionPolicy " + text.Quote(p.Name)
		denies = denies || slices.Contains(p.Spec.ValidationActions, v1alpha1.Deny)
		if p.Status == nil {
			f.weak(object, "status", Fix{Note: "look at the log of the webhook; its service account may lack a permission"},
				"no webhook has said that it is in force")
			continue
		}
		for _, t := range []string{"Ready", "Enforced"} {
			c := meta.FindStatusCondition(p.Status.Conditions, t)
			fix := Fix{Note: "the message says what to do; docs/runbooks has more"}
			switch {
			case c == nil:
			case c.Status == metav1.ConditionFalse:
				f.bad(object, "status.conditions "+t, fix, "%s is False, %s: %s", t, text.Quote(c.Reason), text.Quote(c.Message))
			case c.Status != metav1.ConditionTrue:
				f.weak(object, "status.conditions "+t, fix, "%s is %s, %s: %s", t, text.Quote(string(c.Status)), text.Quote(c.Reason),
					text.Quote(c.Message))
			}
		}
	}
	if !denies {
		fix := Fix{Note: "apply a policy with validationActions: [Deny]; docs/hardening.md says in which steps"}
		if len(policies) > 0 {
			fix = patchWith("noderestrictionpolicy", "", policies[0].Name, "merge", `{"spec":{"validationActions":["Deny"]}}`)
			fix.Note = "once nothing is recorded that must pass: docs/hardening.md#from-audit-to-deny"
		}
		f.weak("NodeRestrictionPolicies", "spec.validationActions", fix, "no policy denies, so writes are recorded at most")
	}
}
