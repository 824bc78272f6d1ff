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
	"noderestriction.plus/e2e/suite"
)

// The periods of a stock kubelet of 1.37 (pkg/kubelet/apis/config/v1beta1/defaults.go).
const heartbeatMinutes = 5 // nodeStatusReportFrequency

// register registers all kubelets at the same time.
func (c *cluster) register(ctx context.Context, r *report) error {
	p, err := c.measure(ctx, "registration of all", func() (int, error) {
		return c.nodes, each(ctx, c.nodes, func(ctx context.Context, i int) error {
			node := load.Node(nodeName(i))
			node.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}
			// A kubelet registers without what other clients add to its Node.
			delete(node.Labels, "example.com/pool")
			delete(node.Labels, "example.com/rack")
			delete(node.Annotations, "csi.volume.kubernetes.io/nodeid")
			delete(node.Annotations, "node.alpha.kubernetes.io/ttl")
			return c.send(ctx, request{node.Name, http.MethodPost, "/api/v1/nodes", suite.JSONType, encode(node)})
		})
	})
	r.phases = append(r.phases, p)
	return err
}

// live simulates some minutes of all kubelets: a pod that starts on each, and heartbeats. Idle periods are skipped.
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
		nodeName(i), http.MethodPatch, "/api/v1/nodes/" + nodeName(i) + "/status", suite.StrategicPatch,
		fmt.Appendf(nil, `{"status":{"conditions":[{"type":"Ready","lastHeartbeatTime":%q}]}}`, now()),
	})
}

// startPods creates a pod on each node and sends the status writes of a pod that starts.
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
		created, err := c.Admin.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		for _, status := range statuses {
			err := c.send(ctx, request{
				nodeName(i), http.MethodPatch, "/api/v1/namespaces/" + created.Namespace + "/pods/" + created.Name + "/status",
				suite.StrategicPatch, []byte(status),
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// cacheNodes measures the cache of Nodes, which policies with a nodeSelector need.
func (c *cluster) cacheNodes(ctx context.Context, r *report) error {
	for _, n := range []int{c.nodes, c.more} {
		if err := c.addNodes(ctx, n); err != nil {
			return err
		}
		without, err := c.restarted(ctx)
		if err != nil {
			return err
		}
		selecting := product.DenyFinalizers("selecting")
		selecting.Spec.Match = &v1alpha1.Match{NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"no": "node"}}}
		if err := product.Enforce(ctx, c.Policies, selecting); err != nil {
			return err
		}
		with, err := c.restarted(ctx)
		if err != nil {
			return err
		}
		r.caches = append(r.caches, cacheSize{nodes: n, without: without.resident, with: with.resident, ready: with.took})
		if err := c.Policies.Delete(ctx, selecting); err != nil {
			return err
		}
	}
	return nil
}

// addNodes creates Nodes until there are as many as wanted.
func (c *cluster) addNodes(ctx context.Context, want int) error {
	have, err := c.Admin.CoreV1().Nodes().List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return err
	}
	first := len(have.Items)
	if have.RemainingItemCount != nil {
		first += int(*have.RemainingItemCount)
	}
	return each(ctx, want-first, func(ctx context.Context, i int) error {
		node := load.Node(nodeName(first + i))
		node.Status.Images = nil // not used here
		_, err := c.Admin.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
		return err
	})
}

// start is a start of the product: the time until it was ready, and its memory then.
type start struct {
	took     time.Duration
	resident float64
}

// restarted restarts the product.
func (c *cluster) restarted(ctx context.Context) (s start, err error) {
	if err := c.product.Stop(); err != nil {
		return s, err
	}
	begun := time.Now()
	if err := c.product.Run(ctx, c.args...); err != nil {
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
		if err := c.Policies.Create(ctx, p); err != nil {
			return err
		}
		last = p.Name
	}
	if err := product.AwaitReady(ctx, c.Policies, last); err != nil {
		return err
	}
	started, err := c.restarted(ctx)
	if err != nil {
		return err
	}
	r.policies, r.manyStart = policies, started
	if err := c.product.AwaitCalled(ctx, c.ControlPlane.APIServer); err != nil {
		return err
	}
	writes := min(c.nodes, 1000)
	p, err := c.measure(ctx, fmt.Sprintf("with %d policies, addresses changed", policies), func() (int, error) {
		return writes, each(ctx, writes, func(ctx context.Context, i int) error {
			return c.send(ctx, request{
				nodeName(i), http.MethodPatch, "/api/v1/nodes/" + nodeName(i) + "/status", suite.StrategicPatch,
				fmt.Appendf(nil, `{"status":{"addresses":[{"type":"InternalIP","address":"10.1.%d.%d"}]}}`, i/250, i%250+1),
			})
		})
	})
	r.phases = append(r.phases, p)
	return err
}
