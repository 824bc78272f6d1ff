// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"errors"
	"fmt"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"noderestriction.plus/e2e/kubelet"
	"noderestriction.plus/e2e/suite"
)

// job runs two Jobs: one whose pods succeed, and one whose pod fails.
func (l *worker) job(t *testing.T, name string) {
	l.runJob(t, name+"-good", batchv1.JobComplete, batchv1.JobSpec{
		Completions: new(int32(3)), Parallelism: new(int32(2)), Template: l.template(name+"-good", kubelet.Exits),
	})
	l.runJob(t, name+"-bad", batchv1.JobFailed, batchv1.JobSpec{
		BackoffLimit: new(int32(0)), Template: l.template(name+"-bad", kubelet.Fails),
	})
}

// sidecar runs a Job whose pod has a sidecar container.
func (l *worker) sidecar(t *testing.T, name string) {
	template := l.template(name, kubelet.Exits)
	template.Spec.InitContainers = []corev1.Container{
		{Name: "first", Image: kubelet.Exits},
		{Name: "sidecar", Image: kubelet.Stays, RestartPolicy: new(corev1.ContainerRestartPolicyAlways)},
	}
	l.runJob(t, name, batchv1.JobComplete, batchv1.JobSpec{Template: template})
}

// runJob runs a Job until it has a condition, and deletes it with its pods.
func (l *worker) runJob(t *testing.T, name string, want batchv1.JobConditionType, spec batchv1.JobSpec) {
	t.Helper()
	spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	jobs := l.Admin.BatchV1().Jobs(metav1.NamespaceDefault)
	_, err := jobs.Create(t.Context(), &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec},
		metav1.CreateOptions{})
	suite.Check(t, err)
	suite.Eventually(t, stepTimeout, func() error {
		job, err := jobs.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range job.Status.Conditions {
			if c.Type == want && c.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("job %s is not %s: %+v", name, want, job.Status)
	})
	suite.Check(t, jobs.Delete(t.Context(), name,
		metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}))
	l.awaitNoPods(t, name)
}

// crash runs a container that fails and that the kubelet restarts.
func (l *worker) crash(t *testing.T, name string) {
	l.runPod(t, l.pod(name, kubelet.Fails))
	l.AwaitPod(t, stepTimeout, metav1.NamespaceDefault, name, func(pod *corev1.Pod) bool {
		return pod != nil && len(pod.Status.ContainerStatuses) > 0 && pod.Status.ContainerStatuses[0].RestartCount > 0
	})
	l.deletePod(t, name)
}

// readiness changes the readiness of a pod with a readiness gate.
func (l *worker) readiness(t *testing.T, name string) {
	const gate = "example.com/balanced"
	pod := l.pod(name, kubelet.Stays)
	pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: gate}}
	l.runPod(t, pod)
	for _, status := range []corev1.ConditionStatus{corev1.ConditionTrue, corev1.ConditionFalse} {
		_, err := l.Admin.CoreV1().Pods(metav1.NamespaceDefault).Patch(t.Context(), name,
			types.StrategicMergePatchType,
			fmt.Appendf(nil, `{"status":{"conditions":[{"type":%q,"status":%q}]}}`, gate, status),
			metav1.PatchOptions{}, "status")
		suite.Check(t, err)
		l.AwaitPod(t, stepTimeout, metav1.NamespaceDefault, name, func(pod *corev1.Pod) bool { return isReady(pod, status) })
	}
	l.deletePod(t, name)
}

// ephemeral adds a container to a running pod.
func (l *worker) ephemeral(t *testing.T, name string) {
	l.runPod(t, l.pod(name, kubelet.Stays))
	_, err := l.Admin.CoreV1().Pods(metav1.NamespaceDefault).Patch(t.Context(), name, types.StrategicMergePatchType,
		fmt.Appendf(nil, `{"spec":{"ephemeralContainers":[{"name":"debugger","image":%q}]}}`, kubelet.Exits),
		metav1.PatchOptions{}, "ephemeralcontainers")
	suite.Check(t, err)
	l.AwaitPod(t, stepTimeout, metav1.NamespaceDefault, name, func(pod *corev1.Pod) bool {
		return pod != nil && len(pod.Status.EphemeralContainerStatuses) > 0 &&
			pod.Status.EphemeralContainerStatuses[0].State.Terminated != nil
	})
	l.deletePod(t, name)
}

// resize raises the CPU request of a running container.
func (l *worker) resize(t *testing.T, name string) {
	pod := l.pod(name, kubelet.Stays)
	pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: quantity.MustParse("10m")}
	l.runPod(t, pod)
	pods := l.Admin.CoreV1().Pods(metav1.NamespaceDefault)
	resized, err := pods.Patch(t.Context(), name, types.StrategicMergePatchType,
		[]byte(`{"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"20m"}}}]}}`),
		metav1.PatchOptions{}, "resize")
	suite.Check(t, err)
	l.AwaitPod(t, stepTimeout, metav1.NamespaceDefault, name, func(pod *corev1.Pod) bool {
		return pod != nil && pod.Status.ObservedGeneration >= resized.Generation &&
			len(pod.Status.ContainerStatuses) > 0 &&
			pod.Status.ContainerStatuses[0].AllocatedResources.Cpu().MilliValue() == 20
	})
	l.deletePod(t, name)
}

// eviction evicts a pod through the API, first against its budget and then allowed by it.
func (l *worker) eviction(t *testing.T, name string) {
	l.runPod(t, l.pod(name, kubelet.Stays))
	budgets := l.Admin.PolicyV1().PodDisruptionBudgets(metav1.NamespaceDefault)
	_, err := budgets.Create(t.Context(), &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: new(intstr.FromInt32(1)),
			Selector:     &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
		},
	}, metav1.CreateOptions{})
	suite.Check(t, err)
	evict := func() error {
		return l.Admin.CoreV1().Pods(metav1.NamespaceDefault).EvictV1(t.Context(),
			&policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	suite.Eventually(t, stepTimeout, func() error {
		budget, err := budgets.Get(t.Context(), name, metav1.GetOptions{})
		if err == nil && budget.Status.CurrentHealthy != 1 {
			err = errors.New("the budget does not count the pod")
		}
		return err
	})
	if err := evict(); !apierrors.IsTooManyRequests(err) {
		t.Errorf("want the budget to forbid the eviction, got %v", err)
	}
	_, err = budgets.Patch(t.Context(), name, types.MergePatchType, []byte(`{"spec":{"minAvailable":0}}`),
		metav1.PatchOptions{})
	suite.Check(t, err)
	suite.Eventually(t, stepTimeout, func() error {
		if err := evict(); !apierrors.IsNotFound(err) {
			return err
		}
		return nil
	})
	l.AwaitPod(t, stepTimeout, metav1.NamespaceDefault, name, suite.Gone)
	suite.Check(t, budgets.Delete(t.Context(), name, metav1.DeleteOptions{}))
}
