// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
)

// The permissions of the webhook: those that it always needs, and those that values add, as "where verb group/resource[names]".
var (
	basicPermissions = []string{
		"cluster get,list,watch noderestriction.plus/noderestrictionpolicies",
		"cluster patch noderestriction.plus/noderestrictionpolicies/status",
		"cluster get apiextensions.k8s.io/customresourcedefinitions[noderestrictionpolicies.noderestriction.plus]",
		"cluster get,list,watch /nodes",
		"cluster get /pods",
		"cluster get,list storage.k8s.io/csidrivers",
		"default create,patch events.k8s.io/events",
	}
	wiringPermissions = []string{
		"cluster get admissionregistration.k8s.io/validatingwebhookconfigurations[node-restriction-plus]",
		"cluster get admissionregistration.k8s.io/validatingadmissionpolicies[node-restriction-plus.quantities node-restriction-plus.pod-quantities]",
		"cluster get admissionregistration.k8s.io/validatingadmissionpolicybindings" +
			"[node-restriction-plus.quantities node-restriction-plus.pod-quantities]",
	}
	metricsPermissions = []string{
		"cluster create authentication.k8s.io/tokenreviews",
		"cluster create authorization.k8s.io/subjectaccessreviews",
	}
	certificatePermissions = []string{
		"cluster get,list,watch,update,patch admissionregistration.k8s.io/validatingwebhookconfigurations[node-restriction-plus]",
		"security get,list,watch,update /secrets[node-restriction-plus-ca]",
		"security create /secrets",
	}
	followPermissions = []string{
		"cluster get,list,watch,patch admissionregistration.k8s.io/validatingwebhookconfigurations[node-restriction-plus]",
		"cluster get,list,watch,patch admissionregistration.k8s.io/validatingadmissionpolicies[node-restriction-plus.policies]",
	}
	baselinePermissions = []string{
		"cluster get /serviceaccounts", "cluster get /persistentvolumeclaims", "cluster get /persistentvolumes",
	}
	reviewPermissions = []string{"cluster create authorization.k8s.io/subjectaccessreviews"}
	probePermissions  = []string{
		"cluster impersonate /users[system:node:node-restriction-plus-probe]",
		"cluster impersonate /groups[system:nodes]",
	}
)

// TestPermissions lists the permissions exactly, so that a new one is a decision.
func TestPermissions(t *testing.T) {
	const outside = "webhook.url=https://10.0.0.1,rbac.subjects[0].kind=User,rbac.subjects[0].name=nrp"
	for name, test := range map[string]struct {
		set  string
		want [][]string
	}{
		"by default": {"profile=balanced", [][]string{basicPermissions, wiringPermissions, metricsPermissions, certificatePermissions}},
		"on control-plane nodes": {
			"profile=controlPlane", [][]string{basicPermissions, wiringPermissions, metricsPermissions, certificatePermissions},
		},
		"with a certificate of cert-manager": {
			"certificates.mode=certManager", [][]string{basicPermissions, wiringPermissions, metricsPermissions},
		},
		"without metrics": {
			"certificates.mode=certManager,metrics.enabled=false", [][]string{basicPermissions, wiringPermissions},
		},
		"without metrics and without the wiring check": {
			"certificates.mode=certManager,metrics.enabled=false,wiringCheck.enabled=false", [][]string{basicPermissions},
		},
		"with the wiring check and without a floor": {
			"certificates.mode=certManager,metrics.enabled=false,floor.enabled=false", [][]string{basicPermissions, wiringPermissions[:1]},
		},
		"with the baseline": {
			"certificates.mode=certManager,metrics.enabled=false,baseline={pods}",
			[][]string{basicPermissions, wiringPermissions, baselinePermissions, reviewPermissions},
		},
		"with the probe": {
			"certificates.mode=certManager,metrics.enabled=false,enforcementProbe.enabled=true",
			[][]string{basicPermissions, wiringPermissions, probePermissions},
		},
		"with match conditions that follow the policies": {
			"certificates.mode=certManager,metrics.enabled=false,wiringCheck.enabled=false,webhook.followPolicies=true",
			[][]string{basicPermissions, followPermissions},
		},
		"the same with a certificate of its own, without a floor": {
			"metrics.enabled=false,wiringCheck.enabled=false,webhook.followPolicies=true,floor.enabled=false",
			[][]string{basicPermissions, certificatePermissions},
		},
		"outside the cluster":                     {outside, [][]string{basicPermissions, wiringPermissions, metricsPermissions}},
		"created elsewhere":                       {"rbac.create=false,enforcementProbe.enabled=true", nil},
		"outside the cluster, with no user named": {"webhook.url=https://10.0.0.1", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			have := permissions(t, render(t, "--set", test.set))
			want := slices.Sorted(slices.Values(slices.Concat(test.want...)))
			if !slices.Equal(have, want) {
				t.Errorf("the permissions are\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// permissions lists the permissions of the webhook. It fails the test for a role that has another subject.
func permissions(t *testing.T, r rendered) []string {
	t.Helper()
	found := map[string]bool{}
	for _, object := range r.objects {
		if isTest(object) {
			continue
		}
		switch role := object.(type) {
		case *rbacv1.ClusterRole:
			if role.AggregationRule != nil {
				t.Errorf("%s is an aggregate", role.Name)
			}
			addPermissions(t, found, "cluster", role.Rules)
			binding := get[*rbacv1.ClusterRoleBinding](t, r, role.Name)
			checkBinding(t, binding.RoleRef, "ClusterRole", role.Name, binding.Subjects)
		case *rbacv1.Role:
			addPermissions(t, found, role.Namespace, role.Rules)
			binding := get[*rbacv1.RoleBinding](t, r, role.Name)
			checkBinding(t, binding.RoleRef, "Role", role.Name, binding.Subjects)
			if binding.Namespace != role.Namespace {
				t.Errorf("%s is bound in %s", role.Name, binding.Namespace)
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func addPermissions(t *testing.T, found map[string]bool, where string, rules []rbacv1.PolicyRule) {
	t.Helper()
	for _, rule := range rules {
		if strings.Contains(fmt.Sprint(rule), "*") {
			t.Errorf("%v has a wildcard", rule)
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				names := ""
				if len(rule.ResourceNames) > 0 {
					names = fmt.Sprint(rule.ResourceNames)
				}
				found[fmt.Sprintf("%s %s %s/%s%s", where, strings.Join(rule.Verbs, ","), group, resource, names)] = true
			}
		}
	}
}

func checkBinding(t *testing.T, ref rbacv1.RoleRef, kind, name string, subjects []rbacv1.Subject) {
	t.Helper()
	if ref.Kind != kind || ref.Name != name || len(subjects) != 1 {
		t.Errorf("%s %s is bound by %v to %v", kind, name, ref, subjects)
	}
	if s := subjects[0]; s.Kind == rbacv1.ServiceAccountKind && (s.Name != chart || s.Namespace != "security") {
		t.Errorf("%s %s is bound to %v", kind, name, s)
	}
}
