// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"cmp"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/rbac"
)

func bypassUs() Check {
	return Check{
		ID: "bypass-us", Severity: nodeauthorizer.High, Worst: Bad,
		Asks: "Can only administrators delete or widen what enforces the policies?",
		Gain: "turns NodeRestriction-plus off before the attack",
		How: "It reads who may change or delete the webhook configuration, the policies, their CRD, the floor, the namespace and the" +
			" workload of" +
			" this product. Its own service account, which writes its CA, does not count.",
		Needs: rbacNeeds(authorization.Request{Verb: "list", Group: admissionGroup, Resource: "validatingwebhookconfigurations"}),
		run:   runBypassUs,
	}
}

const admissionGroup = "admissionregistration.k8s.io"

// target is a part of the product that somebody could change.
type target struct {
	what     string
	requests []authorization.Request
}

func (s *Snapshot) targets(in *Install) []target {
	request := func(group, resource, namespace, name string, verbs ...string) []authorization.Request {
		var all []authorization.Request
		for _, verb := range verbs {
			all = append(all, authorization.Request{Verb: verb, Group: group, Resource: resource, Namespace: namespace, Name: name})
		}
		return all
	}
	const ours = "noderestriction.plus"
	policies := request(ours, "noderestrictionpolicies", "", "", "update", "patch", "delete", "deletecollection")
	for i := range s.Policies.Value {
		policies = append(policies, request(ours, "noderestrictionpolicies", "", s.Policies.Value[i].Name, "update", "patch", "delete")...)
	}
	var floor []authorization.Request
	for _, name := range append([]string{""}, in.floor()...) {
		for _, resource := range []string{"validatingadmissionpolicies", "validatingadmissionpolicybindings"} {
			floor = append(floor, request(admissionGroup, resource, "", name, "update", "patch", "delete")...)
		}
	}
	all := []target{
		{"change or delete the webhook configuration", slices.Concat(
			request(admissionGroup, "validatingwebhookconfigurations", "", in.name(), "update", "patch", "delete"),
			request(admissionGroup, "validatingwebhookconfigurations", "", "", "deletecollection"))},
		{"change or delete policies", policies},
		{"change or delete the CRD", request("apiextensions.k8s.io", "customresourcedefinitions", "", "noderestrictionpolicies."+ours,
			"update", "patch", "delete")},
		{"change or delete the floor", floor},
	}
	if in.Namespace == "" {
		return all
	}
	return append(all, target{"stop or replace the webhook", slices.Concat(
		request("", "namespaces", "", in.Namespace, "delete"),
		request("apps", "deployments", in.Namespace, in.Service, "update", "patch", "delete"),
		request("", "services", in.Namespace, in.Service, "update", "patch", "delete"),
		request("", "secrets", in.Namespace, in.Service+"-ca", "update", "patch"),
	)})
}

func runBypassUs(s *Snapshot, f *Finding) {
	configurations, ok := known(s, f, &s.Validating)
	if !ok {
		return
	}
	e, ok := s.evaluator(f)
	if !ok {
		return
	}
	in := InstallOf(configurations)
	own := s.serviceAccounts(&in)
	type condition = func(string, *rbacv1.PolicyRule) bool
	var before []condition
	for _, t := range s.targets(&in) {
		may := anyOf(t.requests...)
		earlier := slices.Clone(before)
		f.who(s, e, &power{
			does: "may " + t.what,
			rules: []condition{func(namespace string, rule *rbacv1.PolicyRule) bool {
				// A rule for everything is shown once.
				return may(namespace, rule) && !slices.ContainsFunc(earlier, func(is condition) bool { return is(namespace, rule) })
			}},
			trusted: func(subject *rbacv1.Subject, h *rbac.Holding) bool {
				return subject.Kind == rbacv1.ServiceAccountKind && cmp.Or(subject.Namespace, h.BindingNamespace) == in.namespace() &&
					slices.Contains(own, subject.Name)
			},
		})
		before = append(before, may)
	}
}

// serviceAccounts returns the names of the service accounts of the program, in its namespace.
func (s *Snapshot) serviceAccounts(in *Install) []string {
	var names []string
	for i := range s.Deployments.Value {
		d := &s.Deployments.Value[i]
		if d.Namespace == in.namespace() && d.Labels[nameLabel] == program.Name {
			names = append(names, d.Spec.Template.Spec.ServiceAccountName)
		}
	}
	for i := range s.DaemonSets.Value {
		d := &s.DaemonSets.Value[i]
		if d.Namespace == in.namespace() && d.Labels[nameLabel] == program.Name {
			names = append(names, d.Spec.Template.Spec.ServiceAccountName)
		}
	}
	return names
}
