// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/load"
	"noderestriction.plus/e2e/product"
)

// The periods of a stock kubelet of 1.37 (pkg/kubelet/apis/config/v1beta1/defaults.go).
const heartbeatMinutes = 5 // nodeStatusReportFrequency

const (
	mediaJSON      = "application/json"
	mediaStrategic = "application/strategic-merge-patch+json"
)

// register has all kubelets register at once.
func (c *cluster) register(ctx context.Context, r *report) error {
	p, err := c.measure(ctx, "registration of all", func() (int, error) {
		return c.nodes, each(ctx, c.nodes, func(ctx context.Context, i int) error {
			node := load.Node(nodeName(i))
			node.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}
			// As a kubelet registers: what others have added to its Node is not there yet.
			delete(node.Labels, "example.com/pool")
			delete(node.Labels, "example.com/rack")
			delete(node.Annotations, "csi.volume.kubernetes.io/nodeid")
			delete(node.Annotations, "node.alpha.kubernetes.io/ttl")
			return c.send(ctx, request{node.Name, http.MethodPost, "/api/v1/nodes", mediaJSON, encode(node)})
		})
	})
	r.phases = append(r.phases, p)
	return err
}

// live has all kubelets live for some minutes: a pod started on each, and heartbeats. A period in which nothing happens takes no
// time.
func (c *cluster) live(ctx context.Context, r *report) error {
	pods, err := c.measure(ctx, "a pod started on each, 5 statuses", func() (int, error) { return c.startPods(ctx) })
	if err != nil {
		return err
	}
	r.phases = append(r.phases, pods)
	for minute := 0; minute < c.minutes; minute += heartbeatMinutes {
		beats, err := c.measure(ctx, fmt.Sprintf("heartbeats of minutes %d to %d", minute+1, minute+heartbeatMinutes),
			func() (int, error) { return c.nodes, each(ctx, c.nodes, c.heartbeat) })
		if err != nil {
			return err
		}
		r.phases = append(r.phases, beats)
	}
	return nil
}

func (c *cluster) heartbeat(ctx context.Context, i int) error {
	return c.send(ctx, request{
		nodeName(i), http.MethodPatch, "/api/v1/nodes/" + nodeName(i) + "/status", mediaStrategic,
		fmt.Appendf(nil, `{"status":{"conditions":[{"type":"Ready","lastHeartbeatTime":%q}]}}`, now()),
	})
}

// startPods starts a pod on each node, and has its kubelet write the statuses of a start.
func (c *cluster) startPods(ctx context.Context) (int, error) {
	statuses := []string{
		`{"status":{"phase":"Pending","conditions":[{"type":"PodScheduled","status":"True"},{"type":"Initialized","status":"True"}]}}`,
		`{"status":{"hostIP":"10.0.0.1","hostIPs":[{"ip":"10.0.0.1"}],"conditions":[{"type":"Ready","status":"False"}]}}`,
		`{"status":{"conditions":[{"type":"PodReadyToStartContainers","status":"True"}]}}`,
		`{"status":{"phase":"Running","podIP":"10.244.1.7","podIPs":[{"ip":"10.244.1.7"}]}}`,
		`{"status":{"conditions":[{"type":"ContainersReady","status":"True"},{"type":"Ready","status":"True"}]}}`,
	}
	return len(statuses) * c.nodes, each(ctx, c.nodes, func(ctx context.Context, i int) error {
		pod := load.Pod(nodeName(i))
		created, err := c.admin.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		for _, status := range statuses {
			err := c.send(ctx, request{
				nodeName(i), http.MethodPatch, "/api/v1/namespaces/" + created.Namespace + "/pods/" + created.Name + "/status",
				mediaStrategic, []byte(status),
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// cacheNodes measures what the cache of Nodes takes, which a policy needs that selects them by label.
func (c *cluster) cacheNodes(ctx context.Context, r *report) error {
	for _, n := range []int{c.nodes, c.more} {
		if err := c.addNodes(ctx, n); err != nil {
			return err
		}
		without, err := c.restarted(ctx)
		if err != nil {
			return err
		}
		selecting := &v1alpha1.NodeRestrictionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "selecting"}}
		selecting.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
		selecting.Spec.Match = &v1alpha1.Match{NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"no": "node"}}}
		selecting.Spec.Nodes.Finalizers = &v1alpha1.NodeFinalizers{}
		if err := product.Enforce(ctx, c.policies, selecting); err != nil {
			return err
		}
		with, err := c.restarted(ctx)
		if err != nil {
			return err
		}
		r.caches = append(r.caches, cacheSize{nodes: n, without: without.resident, with: with.resident, ready: with.took})
		if err := c.policies.Delete(ctx, selecting); err != nil {
			return err
		}
	}
	return nil
}

// addNodes makes Nodes until there are so many.
func (c *cluster) addNodes(ctx context.Context, want int) error {
	have, err := c.admin.CoreV1().Nodes().List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return err
	}
	first := len(have.Items)
	if have.RemainingItemCount != nil {
		first += int(*have.RemainingItemCount)
	}
	return each(ctx, want-first, func(ctx context.Context, i int) error {
		node := load.Node(nodeName(first + i))
		node.Status.Images = nil // nothing here looks at them
		_, err := c.admin.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
		return err
	})
}

// start is a start of the product: how long until it was ready, and its memory then.
type start struct {
	took     time.Duration
	resident float64
}

// restarted starts the product anew.
func (c *cluster) restarted(ctx context.Context) (s start, err error) {
	if err := c.product.Stop(); err != nil {
		return s, err
	}
	begun := time.Now()
	if err := c.product.Run(ctx); err != nil {
		return s, err
	}
	s.took = time.Since(begun)
	s.resident, err = load.ResidentMiB(c.product.Process().PID())
	return s, err
}

// manyPolicies measures a hundred policies with every rule.
func (c *cluster) manyPolicies(ctx context.Context, r *report) error {
	const policies = 100
	last := ""
	for i := range policies - 1 {
		p := c.strict.DeepCopy()
		p.Name = fmt.Sprintf("strict-%02d", i)
		p.Spec.Match = &v1alpha1.Match{NodeNames: []v1alpha1.Pattern{v1alpha1.Pattern(fmt.Sprintf("pool-%02d-*", i))}}
		if err := c.policies.Create(ctx, p); err != nil {
			return err
		}
		last = p.Name
	}
	if err := product.AwaitReady(ctx, c.policies, last); err != nil {
		return err
	}
	started, err := c.restarted(ctx)
	if err != nil {
		return err
	}
	r.policies, r.manyStart = policies, started
	if err := c.product.AwaitCalled(ctx, c.plane.APIServer); err != nil {
		return err
	}
	writes := min(c.nodes, 1000)
	p, err := c.measure(ctx, fmt.Sprintf("with %d policies, addresses changed", policies), func() (int, error) {
		return writes, each(ctx, writes, func(ctx context.Context, i int) error {
			return c.send(ctx, request{
				nodeName(i), http.MethodPatch, "/api/v1/nodes/" + nodeName(i) + "/status", mediaStrategic,
				fmt.Appendf(nil, `{"status":{"addresses":[{"type":"InternalIP","address":"10.1.%d.%d"}]}}`, i/250, i%250+1),
			})
		})
	})
	r.phases = append(r.phases, p)
	return err
}
