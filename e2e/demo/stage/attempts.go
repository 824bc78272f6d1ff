// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"noderestriction.plus/e2e/product"
	"noderestriction.plus/internal/record"
)

// Attempt is an attack with the kubelet's credential.
type Attempt struct {
	Rule   string // that denies it
	What   string // short description
	method string
	Path   string
	body   []byte
	shown  string // the body, or the important part of it
}

// Outcome is what the API server answered.
type Outcome struct {
	Attempt Attempt
	Refusal error // nil: the write succeeded

	code int
}

const (
	victims = "payments"   // namespace
	jobPod  = "report-x7k" // of a Job, running on the kubelet's node
)

func attempts(node *corev1.Node) ([]Attempt, error) {
	const itself, pods = "/api/v1/nodes/" + Node, "/api/v1/namespaces/" + victims + "/pods"
	pod, err := json.Marshal(mirrorPod(node))
	if err != nil {
		return nil, err
	}
	return []Attempt{
		mergePatch("node-labels", "label its own Node, to draw pods to itself", itself,
			`{"metadata":{"labels":{"example.com/dedicated":"pci"}}}`),
		mergePatch("node-unschedulable", "uncordon itself, after an administrator's cordon", itself,
			`{"spec":{"unschedulable":false}}`),
		mergePatch("node-finalizers", "put a finalizer on its Node, so that an administrator's delete hangs",
			itself+"/status", `{"metadata":{"finalizers":["example.com/stay"]}}`),
		{
			Rule:   "mirror-pod-labels",
			What:   "create a mirror pod labelled like the pods of a Service, to get its traffic",
			method: http.MethodPost, Path: pods, body: pod, shown: "a mirror pod with labels: {app: payments}",
		},
		mergePatch("pod-metadata", "strip a Job's finalizer from its pod, so that the Job miscounts",
			pods+"/"+jobPod+"/status", `{"metadata":{"finalizers":null}}`),
	}, nil
}

func mergePatch(rule, what, path, body string) Attempt {
	return Attempt{Rule: rule, What: what, method: http.MethodPatch, Path: path, body: []byte(body), shown: body}
}

// IsRecordedIn reports whether a record is of the attempt. There may be two: if the real kubelet has just written the same object,
// the API server may call the webhook with a patch of the cached object and again with one of the stored object.
func (a Attempt) IsRecordedIn(l product.Line) bool {
	return slices.ContainsFunc(l.Violations, func(v record.Violation) bool { return v.Rule == a.Rule })
}

// do makes the attempt with the kubelet's credential. It returns an error if there is no answer.
func (a Attempt) do(ctx context.Context, kubelet kubernetes.Interface) (Outcome, error) {
	contentType := "application/json"
	if a.method == http.MethodPatch {
		contentType = string(types.MergePatchType)
	}
	o := Outcome{Attempt: a}
	o.Refusal = kubelet.CoreV1().RESTClient().Verb(a.method).AbsPath(a.Path).SetHeader("Content-Type", contentType).
		Body(a.body).Do(ctx).StatusCode(&o.code).Error()
	if o.Refusal != nil && !apierrors.IsForbidden(o.Refusal) {
		return o, fmt.Errorf("%s: %w", a.What, o.Refusal)
	}
	return o, nil
}

// mirrorPod returns a pod that only a kubelet can create.
func mirrorPod(node *corev1.Node) *corev1.Pod {
	return &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "web-" + Node, Namespace: victims, Labels: map[string]string{"app": "payments"},
			Annotations: map[string]string{
				corev1.MirrorPodAnnotationKey: "5f1d", "kubernetes.io/config.hash": "5f1d",
				"kubernetes.io/config.source": "file", "kubernetes.io/config.seen": "2026-11-24T08:00:00Z",
			},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "v1", Kind: "Node", Name: Node, UID: node.UID, Controller: new(true),
			}},
		},
		Spec: corev1.PodSpec{
			NodeName:   Node,
			Containers: []corev1.Container{{Name: "web", Image: "registry.example.com/web"}},
		},
	}
}

// Attack prepares the cluster as an administrator, and then makes every attempt with the credential of [Node].
func (d *Demo) Attack(ctx context.Context, title string) ([]Outcome, error) {
	config, err := d.ControlPlane.Kubelet(Node)
	if err != nil {
		return nil, err
	}
	config.UserAgent = "curl/8.14.1"
	kubelet, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	node, err := prepare(ctx, d.Admin)
	if err != nil {
		return nil, fmt.Errorf("prepare the cluster: %w", err)
	}
	attempts, err := attempts(node)
	if err != nil {
		return nil, err
	}
	d.Screen.Title("%s", title)
	var outcomes []Outcome
	for _, a := range attempts {
		o, err := a.do(ctx, kubelet)
		if err != nil {
			return nil, err
		}
		d.Screen.outcome(o)
		outcomes = append(outcomes, o)
	}
	return outcomes, nil
}

// prepare undoes earlier attacks, cordons the Node, and creates a pod of a Job on it.
func prepare(ctx context.Context, admin kubernetes.Interface) (*corev1.Node, error) {
	_, err := admin.CoreV1().Namespaces().Create(ctx,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: victims}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, err
	}
	for _, name := range []string{"web-" + Node, jobPod} {
		patch := []byte(`{"metadata":{"finalizers":null}}`)
		_, err := admin.CoreV1().Pods(victims).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
		if err == nil {
			err = admin.CoreV1().Pods(victims).Delete(ctx, name, *metav1.NewDeleteOptions(0))
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, err
		}
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: jobPod, Finalizers: []string{"batch.kubernetes.io/job-tracking"}},
		Spec: corev1.PodSpec{
			NodeName:   Node,
			Containers: []corev1.Container{{Name: "report", Image: "registry.example.com/report"}},
		},
	}
	if pod, err = admin.CoreV1().Pods(victims).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	patch := []byte(`{"metadata":{"labels":{"example.com/dedicated":null},"finalizers":null},` +
		`"spec":{"unschedulable":true}}`)
	node, err := admin.CoreV1().Nodes().Patch(ctx, Node, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return nil, err
	}
	// Wait until the cache of the API server is current.
	_, err = admin.CoreV1().Pods(victims).Get(ctx, jobPod, metav1.GetOptions{ResourceVersion: pod.ResourceVersion})
	if err != nil {
		return nil, err
	}
	return admin.CoreV1().Nodes().Get(ctx, Node, metav1.GetOptions{ResourceVersion: node.ResourceVersion})
}
