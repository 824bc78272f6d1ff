// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

const (
	syncInterval  = 250 * time.Millisecond // between two reads of the node's pods
	leaseInterval = 2 * time.Second
	// statusInterval is shorter than a kubelet's, so that a Node that was marked Unknown recovers immediately.
	statusInterval = 3 * time.Second
	leaseSeconds   = 10
)

// Node is a machine that runs the product with no permissions other than those of its kubelet.
type Node struct {
	Name string

	cluster *Cluster
	client  kubernetes.Interface
	dir     string

	mu       sync.Mutex
	replicas map[types.UID]*Replica
	ended    chan struct{} // nil: the power is off
	off      context.CancelFunc
}

func newNode(c *Cluster, name string) (*Node, error) {
	config, err := c.ControlPlane.Kubelet(name)
	if err != nil {
		return nil, err
	}
	config.Timeout = 5 * time.Second
	client, err := kubernetes.NewForConfig(config)
	return &Node{
		Name: name, cluster: c, client: client, dir: filepath.Join(c.options.Dir, name),
		replicas: map[types.UID]*Replica{},
	}, err
}

// PowerOn starts the node, which runs its pods.
func (n *Node) PowerOn() {
	ctx, off := context.WithCancel(context.Background())
	n.off, n.ended = off, make(chan struct{})
	go func() {
		defer close(n.ended)
		n.live(ctx)
	}()
}

// PowerOff stops the node and its containers immediately. Connections to its pods are not answered.
func (n *Node) PowerOff() {
	if n.ended == nil {
		return
	}
	n.off()
	<-n.ended
	n.ended = nil
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.replicas {
		r.cut()
		r.wait()
	}
	clear(n.replicas)
}

// live does the work of a kubelet, which it retries until it succeeds.
func (n *Node) live(ctx context.Context) {
	tick := time.NewTicker(syncInterval)
	defer tick.Stop()
	registered, reported, renewed := false, time.Time{}, time.Time{}
	for {
		if !registered {
			registered = n.register(ctx) == nil
		}
		if registered && time.Since(reported) > statusInterval && n.report(ctx) == nil {
			reported = time.Now()
		}
		if registered && time.Since(renewed) > leaseInterval && n.renewLease(ctx) == nil {
			renewed = time.Now()
		}
		n.sync(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// register creates the Node, unless it exists.
func (n *Node) register(ctx context.Context) error {
	_, err := n.client.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: n.Name,
		Labels: map[string]string{
			corev1.LabelHostname: n.Name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
		},
	}}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) || apierrors.IsForbidden(err) {
		return nil
	}
	return err
}

// report reports the Node as Ready.
func (n *Node) report(ctx context.Context) error {
	now := metav1.Now()
	resources := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("8"), corev1.ResourceMemory: resource.MustParse("16Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"), corev1.ResourcePods: resource.MustParse("110"),
	}
	patch, err := json.Marshal(map[string]any{"status": corev1.NodeStatus{
		Capacity: resources, Allocatable: resources,
		Addresses: []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: n.Name}},
		Conditions: []corev1.NodeCondition{{
			Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
			LastHeartbeatTime: now, LastTransitionTime: now,
		}},
	}})
	if err != nil {
		return err
	}
	_, err = n.client.CoreV1().Nodes().PatchStatus(ctx, n.Name, patch)
	return err
}

func (n *Node) renewLease(ctx context.Context) error {
	leases := n.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	now := metav1.NowMicro()
	lease, err := leases.Get(ctx, n.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = leases.Create(ctx, &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: n.Name},
			Spec: coordinationv1.LeaseSpec{
				HolderIdentity: &n.Name, LeaseDurationSeconds: new(int32(leaseSeconds)), RenewTime: &now,
			},
		}, metav1.CreateOptions{})
		return err
	}
	if err != nil {
		return err
	}
	lease.Spec.RenewTime = &now
	_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	return err
}

// sync starts new pods of the node and terminates deleted ones. While the API server does not answer, nothing changes.
func (n *Node) sync(ctx context.Context) {
	list, err := n.client.CoreV1().Pods(Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: "spec.nodeName=" + n.Name, ResourceVersion: "0",
	})
	if err != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	there := map[types.UID]bool{}
	for i := range list.Items {
		pod := &list.Items[i]
		there[pod.UID] = true
		r := n.replicas[pod.UID]
		if r == nil {
			if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
				continue
			}
			r = newReplica(n, pod)
			n.replicas[pod.UID] = r
			go r.live(ctx)
		}
		r.observe(pod)
		if pod.DeletionTimestamp != nil {
			r.terminate(time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second)
		}
	}
	for uid, r := range n.replicas {
		if !there[uid] {
			r.terminate(0)
			delete(n.replicas, uid)
		}
	}
}

// addresses assigns a unique address to every pod.
type addresses struct {
	addressMu sync.Mutex
	last      int
}

func (a *addresses) next() string {
	a.addressMu.Lock()
	defer a.addressMu.Unlock()
	a.last++
	return fmt.Sprintf("10.244.%d.%d", 200+a.last/250, 1+a.last%250)
}
