// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// report writes the pod's status when it has changed.
func (r *Replica) report(ctx context.Context) {
	tick := time.NewTicker(replicaInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		data, err := r.patch()
		if err != nil || r.isReported(string(data)) {
			continue
		}
		_, err = r.client().CoreV1().Pods(Namespace).Patch(ctx, r.Pod, types.StrategicMergePatchType, data,
			metav1.PatchOptions{}, "status")
		switch {
		case err == nil:
			r.set(func() { r.reported = string(data) })
		case isGone(err):
			return
		default:
			r.set(func() { r.problem = "write its status: " + err.Error() })
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
}

func (r *Replica) isReported(status string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reported == status
}

// observe makes report write the status again if another client has changed it, as controllers do with pods of an Unknown node.
func (r *Replica) observe(pod *corev1.Pod) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ready := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
	if ready != (r.ready && r.process != nil) {
		r.reported = ""
	}
}

// patch returns the status as a strategic merge patch.
func (r *Replica) patch() ([]byte, error) {
	status := r.status()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&status)
	if err != nil {
		return nil, err
	}
	// Addresses are merged by address, but a restarted pod has another one.
	content["podIPs"] = []any{map[string]any{"$patch": "replace"}, map[string]any{"ip": r.ip}}
	return json.Marshal(map[string]any{"metadata": map[string]any{"uid": r.pod.UID}, "status": content})
}

func isGone(err error) bool { return apierrors.IsNotFound(err) || apierrors.IsConflict(err) }

// status returns the status that a kubelet would write.
func (r *Replica) status() corev1.PodStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	ready := r.ready && r.process != nil
	container := corev1.ContainerStatus{
		Name: r.container().Name, Image: r.container().Image, ImageID: r.container().Image,
		Ready: ready, Started: new(r.process != nil), RestartCount: int32(r.restarts),
	}
	phase := corev1.PodPending
	switch {
	case r.ended:
		phase = corev1.PodSucceeded
		container.ContainerID = "e2e://" + string(r.pod.UID)
		container.State.Terminated = &corev1.ContainerStateTerminated{ContainerID: container.ContainerID}
		if r.failed {
			phase, container.State.Terminated.ExitCode = corev1.PodFailed, 1
		}
	case r.process != nil:
		phase = corev1.PodRunning
		container.ContainerID = "e2e://" + string(r.pod.UID)
		container.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(r.startedAt)}
	case r.restarts > 0:
		phase = corev1.PodRunning
		container.State.Waiting = &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}
	default:
		container.State.Waiting = &corev1.ContainerStateWaiting{Reason: "ContainerCreating", Message: r.problem}
	}
	return corev1.PodStatus{
		Phase: phase, PodIP: r.ip, PodIPs: []corev1.PodIP{{IP: r.ip}}, HostIP: "192.0.2.1",
		HostIPs: []corev1.HostIP{{IP: "192.0.2.1"}},
		Conditions: []corev1.PodCondition{
			r.condition(corev1.PodInitialized, true), r.condition(corev1.ContainersReady, ready),
			r.condition(corev1.PodReady, ready),
		},
		ContainerStatuses: []corev1.ContainerStatus{container},
	}
}

func (r *Replica) condition(kind corev1.PodConditionType, is bool) corev1.PodCondition {
	c := corev1.PodCondition{
		Type: kind, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(r.readyChanged.Truncate(time.Second)),
	}
	if is {
		c.Status = corev1.ConditionTrue
	}
	return c
}
