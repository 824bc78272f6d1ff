// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"slices"
	"strings"
	"testing"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy/rules"
)

func TestPolicies(t *testing.T) {
	for name, test := range map[string]struct {
		set  string
		want map[string]string
	}{
		"recommended only records": {"profile=observe", map[string]string{"recommended": "Audit"}},
		"recommended denies":       {"policies.recommended=Deny", map[string]string{"recommended": "Deny"}},
		"strict denies and says it in the audit log": {
			"policies.recommended=Off,policies.strict=Deny", map[string]string{"strict": "Deny Audit"},
		},
		"there is no policy":  {"policies.recommended=Off", map[string]string{}},
		"there is another":    {"policies.recommended=Off,policies.extra.a.validationActions={Warn},policies.extra.a.nodes.names.allowed={b}", map[string]string{"a": "Warn"}},
		"a distribution's":    {"policies.distribution=talos", map[string]string{"recommended": "Audit"}},
		"outside the cluster": {"webhook.url=https://10.0.0.1", map[string]string{"recommended": "Audit"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			have := map[string]string{}
			for _, object := range render(t, "--set", test.set).objects {
				p, ok := object.(*v1alpha1.NodeRestrictionPolicy)
				if !ok {
					continue
				}
				var actions []string
				for _, action := range p.Spec.ValidationActions {
					actions = append(actions, string(action))
				}
				have[p.Name] = strings.Join(actions, " ")
				if _, errs := rules.NewCompiler().Compile(p); len(errs) > 0 {
					t.Error(errs.ToAggregate())
				}
			}
			if len(have) != len(test.want) {
				t.Errorf("there are %v, want %v", have, test.want)
			}
			for name, actions := range test.want {
				if have[name] != actions {
					t.Errorf("there are %v, want %v", have, test.want)
				}
			}
		})
	}
}

func TestPoliciesAreAdapted(t *testing.T) {
	r := render(t, "--set", "policies.distribution=k3s,policies.adapt.recommended.nodes.labels.registration.denied={a/*},"+
		"policies.adapt.recommended.mirrorPods.labels=null,policies.adapt.recommended.nodes.unschedulable.changes=Any,policies.strict=Audit")
	spec := get[*v1alpha1.NodeRestrictionPolicy](t, r, "recommended").Spec
	labels := spec.Nodes.Labels
	if !slices.Equal(labels.Registration.Denied, []v1alpha1.KeyValuePattern{"a/*"}) || len(labels.Update.Allowed) == 0 {
		t.Errorf("the labels are %+v", labels)
	}
	if spec.MirrorPods.Labels != nil || spec.MirrorPods.Names == nil || spec.Nodes.Unschedulable.Changes != "Any" {
		t.Errorf("the spec is %+v", spec)
	}
	if strict := get[*v1alpha1.NodeRestrictionPolicy](t, r, "strict").Spec; strict.MirrorPods.Labels == nil {
		t.Error("what was adapted is not recommended alone")
	}
}

// TestPoliciesOfTheFirstInstall checks that Helm creates policies after the CRD, if the API server does not have it yet.
func TestPoliciesOfTheFirstInstall(t *testing.T) {
	const hook = "helm.sh/hook"
	first := get[*v1alpha1.NodeRestrictionPolicy](t, render(t), "recommended")
	if first.Annotations[hook] != "post-install,post-rollback" || first.Annotations["meta.helm.sh/release-name"] != "test" ||
		first.Annotations["meta.helm.sh/release-namespace"] != "security" {
		t.Errorf("the annotations are %v", first.Annotations)
	}
	later := get[*v1alpha1.NodeRestrictionPolicy](t, render(t, "--api-versions", "noderestriction.plus/v1alpha1"), "recommended")
	elsewhere := get[*v1alpha1.NodeRestrictionPolicy](t, render(t, "--set", "crds.enabled=false"), "recommended")
	if later.Annotations[hook] != "" || elsewhere.Annotations[hook] != "" {
		t.Error("a policy whose kind is known is no object of the release")
	}
}
