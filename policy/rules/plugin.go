// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/pattern"
)

// The rules baseline-* give the verdicts of the in-tree admission plugin NodeRestriction of version 1.37 with default feature gates, one
// rule for each resource. Each follows its part of the plugin step by step. docs/baseline.md documents where a webhook receives another
// object than the plugin.

const (
	baselineSource = "kubernetes v1.37.2 plugin/pkg/admission/noderestriction/admission.go"
	baselineSpec   = "spec.baseline"
)

// baselineWrites are the writes of a resource and all its subresources that NodeRestriction checks: CREATE, UPDATE and DELETE.
func baselineWrites(resource string) []policy.Target {
	var targets []policy.Target
	for _, subresource := range []string{"", policy.AnySubresource} {
		targets = append(targets,
			target(resource, subresource, admissionv1.Create, admissionv1.Update, admissionv1.Delete))
	}
	return targets
}

// compileBaseline returns a Compile that turns a check on where spec.baseline has the resource. Like the plugin, the check
// restricts only users in the group system:nodes.
func compileBaseline(
	resource v1alpha1.BaselineResource, check policy.Check,
) func(*v1alpha1.NodeRestrictionPolicySpec, *field.Path) (policy.Check, field.ErrorList) {
	return func(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
		if !baselineHas(spec.Baseline, resource) {
			return nil, nil
		}
		return inNodesGroup(check), nil
	}
}

func inNodesGroup(check policy.Check) policy.Check {
	return func(r *policy.Request) []policy.Violation {
		if !r.InNodesGroup {
			return nil
		}
		return check(r)
	}
}

func baselineHas(b *v1alpha1.Baseline, resource v1alpha1.BaselineResource) bool {
	switch {
	case b == nil:
		return false
	case len(b.Resources) == 0:
		return resource == v1alpha1.BaselineNodes || resource == v1alpha1.BaselinePods
	}
	return slices.Contains(b.Resources, resource)
}

// checkBaselineResources validates the list of resources as the schema does.
func checkBaselineResources(b *v1alpha1.Baseline, at *field.Path) field.ErrorList {
	if b == nil {
		return nil
	}
	known := []v1alpha1.BaselineResource{
		v1alpha1.BaselineNodes, v1alpha1.BaselinePods, v1alpha1.BaselinePersistentVolumeClaims,
		v1alpha1.BaselineServiceAccounts, v1alpha1.BaselineLeases, v1alpha1.BaselineCSINodes,
		v1alpha1.BaselineResourceSlices, v1alpha1.BaselineCertificateSigningRequests,
		v1alpha1.BaselinePodCertificateRequests,
	}
	if errs := pattern.CheckList(b.Resources, len(known), at); errs != nil {
		return errs
	}
	var errs field.ErrorList
	for i, resource := range b.Resources {
		switch {
		case !slices.Contains(known, resource):
			errs = append(errs, pattern.CheckEnum(resource, at.Index(i), known...)...)
		case slices.Contains(b.Resources[:i], resource):
			errs = append(errs, field.Duplicate(at.Index(i), resource))
		}
	}
	return errs
}

// onlyViolation returns the violation of a check that, like the plugin, stops at the first error.
func onlyViolation(field, detail string) []policy.Violation {
	return []policy.Violation{{Field: field, Detail: detail}}
}

// checkNamedAsNode checks that an object has the name of the kubelet's Node. A generated name counts as an empty one, because the plugin
// checks the object before the name is generated.
func checkNamedAsNode(r *policy.Request) []policy.Violation {
	name := r.Name
	if r.Operation == admissionv1.Create {
		object, ok := decoded[withMetadata](r.Object)
		if !ok {
			return malformed("")
		}
		if name != "" || object.GenerateName == "" {
			name = object.Name
		}
	}
	if name != r.NodeName {
		return onlyViolation("metadata.name", "must be named as this node, not "+text.Quote(name))
	}
	return nil
}

// authorized reports whether the cluster's authorizers allow the kubelet's user a verb on a resource of the written resource's group, in
// the namespace of the write, which is the check that the plugin makes.
func authorized(r *policy.Request, verb, resource, name string) (bool, error) {
	_, group, _ := strings.Cut(r.Resource, ".")
	access := &authorizationv1.SubjectAccessReviewSpec{
		User: r.User.Username, UID: r.User.UID, Groups: r.User.Groups,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: verb, Group: group, Version: r.Version, Resource: resource, Namespace: r.Namespace, Name: name,
		},
	}
	if len(r.User.Extra) > 0 {
		access.Extra = make(map[string]authorizationv1.ExtraValue, len(r.User.Extra))
		for key, values := range r.User.Extra {
			access.Extra[key] = authorizationv1.ExtraValue(values)
		}
	}
	return r.Authorized(access)
}

// notNamedAsNode is [checkNamedAsNode] in CEL.
func notNamedAsNode(on *expression.Scope) string {
	name := on.Name()
	if on.Operation == expression.Create {
		named := expression.Or(name+" != ''", on.New("metadata.generateName", "''")+" == ''")
		name = "(" + expression.If(named, on.New("metadata.name", "''"), name) + ")"
	}
	return differs(name, on.NodeName())
}

// exactlyFor is [exactly] for the rule on a resource of the baseline.
func exactlyFor(
	resource v1alpha1.BaselineResource,
	express func(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression,
) policy.CEL {
	cel := exactly(express)
	cel.Strictest = `{"resources":["` + string(resource) + `"]}`
	return cel
}
