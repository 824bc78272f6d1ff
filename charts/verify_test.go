// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"maps"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const verify = chart + "-verify"

// isTest says that an object is there during helm test only.
func isTest(object metav1.Object) bool { return object.GetAnnotations()["helm.sh/hook"] == "test" }

// TestVerify is the checklist for helm test.
func TestVerify(t *testing.T) {
	for name, set := range map[string]string{
		"by default":                      "nodeSelector.pool=trusted",
		"on control-plane nodes":          "profile=controlPlane",
		"where the program probes itself": "enforcementProbe.enabled=true,nodeSelector.pool=trusted",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := render(t, "--set", set+",tolerations[0].key=a,tolerations[0].operator=Exists,imagePullSecrets[0].name=a")
			pod, program := get[*corev1.Pod](t, r, verify), pods(t, r)
			checkContainerIsSafe(t, pod.Spec.Containers[0])
			if pod.Spec.Containers[0].Image != program.Containers[0].Image || pod.Spec.Containers[0].Args[0] != "probe" {
				t.Errorf("it runs %s %v", pod.Spec.Containers[0].Image, pod.Spec.Containers[0].Args)
			}
			if len(pod.Spec.NodeSelector) == 0 || !maps.Equal(pod.Spec.NodeSelector, program.NodeSelector) ||
				!slices.Equal(pod.Spec.Tolerations, program.Tolerations) ||
				!slices.Equal(pod.Spec.ImagePullSecrets, program.ImagePullSecrets) {
				t.Errorf("it does not run where the program does: %+v", pod.Spec)
			}
			if pod.Spec.RestartPolicy != corev1.RestartPolicyNever || pod.Spec.ServiceAccountName != verify {
				t.Errorf("the pod is %+v", pod.Spec)
			}
			if service, found := find[*corev1.Service](r, chart); found && selects(service.Spec.Selector, pod.Labels) {
				t.Error("it is an endpoint of the Service")
			}
			checkTestRights(t, r)
		})
	}
	for _, object := range render(t, "--set", "webhook.url=https://10.0.0.1").objects {
		if isTest(object) {
			t.Errorf("%s is there, where no image need be", object.GetName())
		}
	}
}

// checkTestRights checks that the test may do nothing but the probe, and only while it runs.
func checkTestRights(t *testing.T, r rendered) {
	t.Helper()
	found := map[string]bool{}
	for _, object := range r.objects {
		if !isTest(object) {
			continue
		}
		if policy := object.GetAnnotations()["helm.sh/hook-delete-policy"]; policy != "before-hook-creation,hook-succeeded" {
			t.Errorf("%s stays: %q", object.GetName(), policy)
		}
		switch typed := object.(type) {
		case *rbacv1.ClusterRole:
			addPermissions(t, found, "cluster", typed.Rules)
		case *rbacv1.ClusterRoleBinding:
			if s := typed.Subjects; len(s) != 1 || s[0].Name != verify || s[0].Namespace != "security" || typed.RoleRef.Name != verify {
				t.Errorf("it is bound as %v to %v", typed.RoleRef, s)
			}
		case *corev1.ServiceAccount, *corev1.Pod:
		default:
			t.Errorf("there is a %T", object)
		}
	}
	if have := slices.Sorted(maps.Keys(found)); !slices.Equal(have, slices.Sorted(slices.Values(probePermissions))) {
		t.Errorf("its permissions are %v", have)
	}
}
