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
)

// job runs two Jobs to their end: one whose pods succeed, one whose pod fails.
func (l *worker) job(t *testing.T, name string) {
	l.runJob(t, name+"-good", batchv1.JobComplete, batchv1.JobSpec{
		Completions: new(int32(3)), Parallelism: new(int32(2)), Template: l.template(name+"-good", exits),
	})
	l.runJob(t, name+"-bad", batchv1.JobFailed, batchv1.JobSpec{
		BackoffLimit: new(int32(0)), Template: l.template(name+"-bad", fails),
	})
}

// sidecar runs a Job whose pod has a container beside it that runs as long as the pod does.
func (l *worker) sidecar(t *testing.T, name string) {
	template := l.template(name, exits)
	template.Spec.InitContainers = []corev1.Container{
		{Name: "first", Image: exits},
		{Name: "sidecar", Image: stays, RestartPolicy: new(corev1.ContainerRestartPolicyAlways)},
	}
	l.runJob(t, name, batchv1.JobComplete, batchv1.JobSpec{Template: template})
}

// runJob runs a Job until it has ended in the way that is wanted, and deletes it with its pods.
func (l *worker) runJob(t *testing.T, name string, want batchv1.JobConditionType, spec batchv1.JobSpec) {
	t.Helper()
	spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	jobs := l.admin.BatchV1().Jobs(metav1.NamespaceDefault)
	_, err := jobs.Create(t.Context(), &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec},
		metav1.CreateOptions{})
	check(t, err)
	await(t, func() error {
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
	check(t, jobs.Delete(t.Context(), name,
		metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}))
	l.awaitNoPods(t, name)
}

// crash lets a container end with an error and the kubelet start it again.
func (l *worker) crash(t *testing.T, name string) {
	l.runPod(t, l.pod(name, fails))
	l.awaitPod(t, metav1.NamespaceDefault, name, func(pod *corev1.Pod) bool {
		return pod != nil && len(pod.Status.ContainerStatuses) > 0 && pod.Status.ContainerStatuses[0].RestartCount > 0
	})
	l.deletePod(t, name)
}

// readiness lets somebody else than the kubelet decide whether a pod is ready.
func (l *worker) readiness(t *testing.T, name string) {
	const gate = "example.com/balanced"
	pod := l.pod(name, stays)
	pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: gate}}
	l.runPod(t, pod)
	for _, status := range []corev1.ConditionStatus{corev1.ConditionTrue, corev1.ConditionFalse} {
		_, err := l.admin.CoreV1().Pods(metav1.NamespaceDefault).Patch(t.Context(), name,
			types.StrategicMergePatchType,
			fmt.Appendf(nil, `{"status":{"conditions":[{"type":%q,"status":%q}]}}`, gate, status),
			metav1.PatchOptions{}, "status")
		check(t, err)
		l.awaitPod(t, metav1.NamespaceDefault, name, func(pod *corev1.Pod) bool { return isReady(pod, status) })
	}
	l.deletePod(t, name)
}

// ephemeral adds a container to a running pod.
func (l *worker) ephemeral(t *testing.T, name string) {
	l.runPod(t, l.pod(name, stays))
	_, err := l.admin.CoreV1().Pods(metav1.NamespaceDefault).Patch(t.Context(), name, types.StrategicMergePatchType,
		fmt.Appendf(nil, `{"spec":{"ephemeralContainers":[{"name":"debugger","image":%q}]}}`, exits),
		metav1.PatchOptions{}, "ephemeralcontainers")
	check(t, err)
	l.awaitPod(t, metav1.NamespaceDefault, name, func(pod *corev1.Pod) bool {
		return pod != nil && len(pod.Status.EphemeralContainerStatuses) > 0 &&
			pod.Status.EphemeralContainerStatuses[0].State.Terminated != nil
	})
	l.deletePod(t, name)
}

// resize gives a running container more to work with.
func (l *worker) resize(t *testing.T, name string) {
	pod := l.pod(name, stays)
	pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: quantity.MustParse("10m")}
	l.runPod(t, pod)
	pods := l.admin.CoreV1().Pods(metav1.NamespaceDefault)
	resized, err := pods.Patch(t.Context(), name, types.StrategicMergePatchType,
		[]byte(`{"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"20m"}}}]}}`),
		metav1.PatchOptions{}, "resize")
	check(t, err)
	l.awaitPod(t, metav1.NamespaceDefault, name, func(pod *corev1.Pod) bool {
		return pod != nil && pod.Status.ObservedGeneration >= resized.Generation &&
			len(pod.Status.ContainerStatuses) > 0 &&
			pod.Status.ContainerStatuses[0].AllocatedResources.Cpu().MilliValue() == 20
	})
	l.deletePod(t, name)
}

// eviction evicts a pod by way of the API, as soon as its budget allows that.
func (l *worker) eviction(t *testing.T, name string) {
	l.runPod(t, l.pod(name, stays))
	budgets := l.admin.PolicyV1().PodDisruptionBudgets(metav1.NamespaceDefault)
	_, err := budgets.Create(t.Context(), &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: new(intstr.FromInt32(1)),
			Selector:     &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
		},
	}, metav1.CreateOptions{})
	check(t, err)
	evict := func() error {
		return l.admin.CoreV1().Pods(metav1.NamespaceDefault).EvictV1(t.Context(),
			&policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	await(t, func() error {
		budget, err := budgets.Get(t.Context(), name, metav1.GetOptions{})
		if err == nil && budget.Status.CurrentHealthy != 1 {
			err = errors.New("the budget does not know of the pod")
		}
		return err
	})
	if err := evict(); !apierrors.IsTooManyRequests(err) {
		t.Errorf("want the budget to forbid the eviction, got %v", err)
	}
	_, err = budgets.Patch(t.Context(), name, types.MergePatchType, []byte(`{"spec":{"minAvailable":0}}`),
		metav1.PatchOptions{})
	check(t, err)
	await(t, func() error {
		if err := evict(); !apierrors.IsNotFound(err) {
			return err
		}
		return nil
	})
	l.awaitPod(t, metav1.NamespaceDefault, name, gone)
	check(t, budgets.Delete(t.Context(), name, metav1.DeleteOptions{}))
}
