// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/internal/attack"
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
			checkTestRights(t, r, verify, probePermissions)
		})
	}
	for _, object := range render(t, "--set", "webhook.url=https://10.0.0.1").objects {
		if isTest(object) {
			t.Errorf("%s is there, where no image need be", object.GetName())
		}
	}
}

// TestAttackTest checks the pod that tries the catalogue of attacks, and that its role is the one that the command prints.
func TestAttackTest(t *testing.T) {
	const name = chart + "-attack"
	for way, flags := range map[string]string{attack.Constrained: "", attack.Impersonate: ",tests.attack.impersonation=impersonate"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			r := render(t, "--set", "nodeSelector.pool=trusted,tests.attack.enabled=true,tests.attack.node=worker-1"+flags)
			pod, program := get[*corev1.Pod](t, r, name), pods(t, r)
			container := pod.Spec.Containers[0]
			checkContainerIsSafe(t, container)
			if container.Image != program.Containers[0].Image || !slices.Equal(container.Command, []string{"/kubectl-nrp"}) ||
				!slices.Equal(container.Args, []string{"attack", "--as-node=worker-1"}) {
				t.Errorf("it runs %s %v %v", container.Image, container.Command, container.Args)
			}
			if !maps.Equal(pod.Spec.NodeSelector, program.NodeSelector) || pod.Spec.RestartPolicy != corev1.RestartPolicyNever ||
				pod.Spec.ServiceAccountName != name {
				t.Errorf("the pod is %+v", pod.Spec)
			}
			if service := get[*corev1.Service](t, r, chart); selects(service.Spec.Selector, pod.Labels) {
				t.Error("it is an endpoint of the Service")
			}
			want := map[string]bool{}
			addPermissions(t, want, "cluster", attack.Role("worker-1", way).Rules)
			checkTestRights(t, r, name, slices.Collect(maps.Keys(want)))
		})
	}
	const enabled = "tests.attack.enabled=true,tests.attack.node="
	for set, want := range map[string]string{
		enabled:              "tests.attack.node: must name the Node",
		enabled + "worker_1": "/tests/attack/node",
		enabled + "a,tests.attack.impersonation=nothing": "/tests/attack/impersonation",
	} {
		if _, err := helmTemplate(t, "--set", set); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", set, err)
		}
	}
	for _, set := range []string{"tests.attack.node=worker-1", enabled + "worker-1,webhook.url=https://10.0.0.1"} {
		if _, found := find[*corev1.Pod](render(t, "--set", set), name); found {
			t.Errorf("%s: the pod is there", set)
		}
	}
}

// TestAttackRolesAreCurrent holds the files from which the chart makes the role of the test to the command. NODE stands for the node.
func TestAttackRolesAreCurrent(t *testing.T) {
	for _, way := range []string{attack.Constrained, attack.Impersonate} {
		data, err := yaml.Marshal(attack.Role("NODE", way).Rules)
		if err != nil {
			t.Fatal(err)
		}
		compareFile(t, chart+"/files/attack/"+way+".yaml", data)
	}
}

// checkTestRights checks that a test has exactly these permissions, and only while it runs.
func checkTestRights(t *testing.T, r rendered, name string, permissions []string) {
	t.Helper()
	found := map[string]bool{}
	for _, object := range r.objects {
		if !isTest(object) || object.GetName() != name {
			continue
		}
		if policy := object.GetAnnotations()["helm.sh/hook-delete-policy"]; policy != "before-hook-creation,hook-succeeded" {
			t.Errorf("%s stays: %q", object.GetName(), policy)
		}
		switch typed := object.(type) {
		case *rbacv1.ClusterRole:
			addPermissions(t, found, "cluster", typed.Rules)
		case *rbacv1.ClusterRoleBinding:
			if s := typed.Subjects; len(s) != 1 || s[0].Name != name || s[0].Namespace != "security" || typed.RoleRef.Name != name {
				t.Errorf("it is bound as %v to %v", typed.RoleRef, s)
			}
		case *corev1.ServiceAccount, *corev1.Pod:
		default:
			t.Errorf("there is a %T", object)
		}
	}
	if have := slices.Sorted(maps.Keys(found)); !slices.Equal(have, slices.Sorted(slices.Values(permissions))) {
		t.Errorf("its permissions are %v", have)
	}
}
