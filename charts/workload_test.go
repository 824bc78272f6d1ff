// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
)

const bundle = "webhook.caBundle=LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUIKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="

// pods returns the pods of what the chart starts.
func pods(t *testing.T, r rendered) corev1.PodSpec {
	t.Helper()
	if d, found := find[*appsv1.DaemonSet](r, chart); found {
		return d.Spec.Template.Spec
	}
	return get[*appsv1.Deployment](t, r, chart).Spec.Template.Spec
}

// TestPodsAreSafe is the checklist for the pods of each profile.
func TestPodsAreSafe(t *testing.T) {
	for _, profile := range []string{"observe", "balanced", "strict", "controlPlane", "files"} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			var spec corev1.PodSpec
			if profile == "files" {
				spec = staticPod(t, renderStatic(t)).Spec
			} else {
				spec = pods(t, render(t, "--set", "profile="+profile))
				if spec.ServiceAccountName != chart || spec.AutomountServiceAccountToken == nil || !*spec.AutomountServiceAccountToken {
					t.Error("the pods have no token")
				}
			}
			checkPod(t, spec)
			checkContainer(t, spec.Containers[0])
			if loopback := profile == "controlPlane" || profile == "files"; spec.HostNetwork != loopback {
				t.Errorf("hostNetwork is %t", spec.HostNetwork)
			}
		})
	}
}

func checkPod(t *testing.T, spec corev1.PodSpec) {
	t.Helper()
	if spec.PriorityClassName != "system-cluster-critical" {
		t.Errorf("the priority class is %q", spec.PriorityClassName)
	}
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable, "node-role.kubernetes.io/control-plane"} {
		if !slices.ContainsFunc(spec.Tolerations, func(toleration corev1.Toleration) bool {
			return toleration.Key == key && toleration.Operator == corev1.TolerationOpExists && toleration.Effect == "" &&
				toleration.TolerationSeconds == nil
		}) {
			t.Errorf("the pods do not tolerate %s for as long as it takes", key)
		}
	}
	if len(spec.Containers) != 1 || len(spec.InitContainers) != 0 || spec.HostPID || spec.HostIPC {
		t.Error("the pods have more than the program's container, or more of the host than its network")
	}
	// 15 s to finish requests, 10 s for the manager, 5 s for the last records.
	if grace := *spec.TerminationGracePeriodSeconds; grace < 5+10+20+15+10+5 {
		t.Errorf("the grace period is %d s", grace)
	}
}

func checkContainerIsSafe(t *testing.T, c corev1.Container) {
	t.Helper()
	s := c.SecurityContext
	if !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || !*s.RunAsNonRoot || *s.RunAsUser != 65532 ||
		!slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 || s.Privileged != nil ||
		s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("the security context is %+v", s)
	}
}

func checkContainer(t *testing.T, c corev1.Container) {
	t.Helper()
	checkContainerIsSafe(t, c)
	if c.Lifecycle == nil || c.Lifecycle.PreStop.Sleep == nil || c.Lifecycle.PreStop.Sleep.Seconds < 5 {
		t.Error("the container does not wait before it ends")
	}
	if c.ReadinessProbe.HTTPGet.Path != "/readyz" || c.LivenessProbe.HTTPGet.Path != "/livez" {
		t.Errorf("the probes are %v and %v", c.ReadinessProbe, c.LivenessProbe)
	}
	if grace := c.LivenessProbe.TerminationGracePeriodSeconds; grace == nil || *grace > 10 {
		t.Error("a container that hangs stays for the whole grace period of its pod")
	}
	if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
		t.Errorf("the resources are %v", c.Resources)
	}
	if !c.Resources.Limits.Cpu().IsZero() {
		t.Error("a CPU limit throttles what a kubelet waits for")
	}
	env := map[string]string{}
	for _, e := range c.Env {
		env[e.Name] = e.Value
	}
	if env["GOMEMLIMIT"] != "460MiB" || env["GOMAXPROCS"] != "4" {
		t.Errorf("the environment is %v", env)
	}
}

func TestDeployment(t *testing.T) {
	r := render(t)
	d := get[*appsv1.Deployment](t, r, chart)
	if *d.Spec.Replicas != 3 || d.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue() != 0 {
		t.Errorf("%d replicas, strategy %v", *d.Spec.Replicas, d.Spec.Strategy)
	}
	apart := d.Spec.Template.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0]
	if apart.TopologyKey != corev1.LabelHostname || !slices.Equal(apart.MatchLabelKeys, []string{"pod-template-hash"}) {
		t.Errorf("the pods are kept apart by %v", apart)
	}
	spread := d.Spec.Template.Spec.TopologySpreadConstraints
	if len(spread) != 1 || spread[0].TopologyKey != corev1.LabelTopologyZone || spread[0].WhenUnsatisfiable != corev1.ScheduleAnyway {
		t.Errorf("the pods are spread by %v", spread)
	}
	budget := get[*policyv1.PodDisruptionBudget](t, r, chart)
	if budget.Spec.MaxUnavailable.IntValue() != 1 || *budget.Spec.UnhealthyPodEvictionPolicy != policyv1.AlwaysAllow {
		t.Errorf("the budget is %+v", budget.Spec)
	}
	labels := d.Spec.Template.Labels
	service := get[*corev1.Service](t, r, chart)
	for what, selector := range map[string]map[string]string{
		"Deployment": d.Spec.Selector.MatchLabels, "PodDisruptionBudget": budget.Spec.Selector.MatchLabels,
		"anti-affinity": apart.LabelSelector.MatchLabels, "spread": spread[0].LabelSelector.MatchLabels,
		"Service": service.Spec.Selector, "Service of metrics": get[*corev1.Service](t, r, chart+"-metrics").Spec.Selector,
	} {
		if !selects(selector, labels) {
			t.Errorf("the %s selects %v, the pods have %v", what, selector, labels)
		}
	}
	if port := service.Spec.Ports[0]; port.Port != 443 || port.TargetPort.String() != "webhook" {
		t.Errorf("the port of the Service is %+v", port)
	}
	if account := get[*corev1.ServiceAccount](t, r, chart); *account.AutomountServiceAccountToken {
		t.Error("every pod that uses the service account gets its token")
	}
}

func selects(selector, labels map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return len(selector) > 0
}

// TestOwnPodsHaveTheExemptName holds the match condition that exempts the program's own pods and the names of these together.
func TestOwnPodsHaveTheExemptName(t *testing.T) {
	for _, profile := range []string{"balanced", "controlPlane"} {
		r := render(t, "--set", "profile="+profile)
		for _, object := range r.objects {
			switch object.(type) {
			case *appsv1.Deployment, *appsv1.DaemonSet:
				if object.GetName() != chart || object.GetNamespace() != "security" {
					t.Errorf("%s: the pods are named after %s/%s", profile, object.GetNamespace(), object.GetName())
				}
			}
		}
		if !slices.ContainsFunc(r.webhooks.Webhooks[0].MatchConditions, func(c admissionregistrationv1.MatchCondition) bool {
			return c.Name == "not-own-pods" && strings.Contains(c.Expression, "'security'") && strings.Contains(c.Expression, "'"+chart+"-'")
		}) {
			t.Errorf("%s: the program's own pods are not exempt", profile)
		}
	}
}

// TestEveryObjectHasLabels holds every object to the labels of the chart and those of commonLabels.
func TestEveryObjectHasLabels(t *testing.T) {
	r := render(t, append(allObjects(), "--set", "commonLabels.team=nodes")...)
	for _, object := range r.objects {
		labels := object.GetLabels()
		name := chart
		if _, pod := object.(*corev1.Pod); pod {
			name = object.GetName() // which no Service selects
		}
		if labels["team"] != "nodes" || labels["app.kubernetes.io/name"] != name || labels["app.kubernetes.io/managed-by"] != "Helm" {
			t.Errorf("%T %s has the labels %v", object, object.GetName(), labels)
		}
		if strings.Contains(object.GetName(), "test") {
			t.Errorf("%s is named after the release", object.GetName())
		}
	}
	labels := get[*appsv1.Deployment](t, r, chart).Spec.Template.Labels
	if labels["team"] != "nodes" {
		t.Errorf("the pods have the labels %v", labels)
	}
}
