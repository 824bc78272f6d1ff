// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// read stands for one source of Nodes.
type read func(ctx context.Context, name string) (*metav1.PartialObjectMetadata, error)

func TestNode(t *testing.T) {
	has := func(uid types.UID) read {
		return func(_ context.Context, name string) (*metav1.PartialObjectMetadata, error) {
			node := nodeMetadata()
			node.Name, node.UID, node.Labels = name, uid, map[string]string{"pool": "pci"}
			return node, nil
		}
	}
	none := func(_ context.Context, name string) (*metav1.PartialObjectMetadata, error) {
		return nodeMetadata(), apierrors.NewNotFound(corev1.Resource("nodes"), name)
	}
	broken := func(context.Context, string) (*metav1.PartialObjectMetadata, error) {
		return nodeMetadata(), errors.New("broken")
	}
	hangs := func(ctx context.Context, _ string) (*metav1.PartialObjectMetadata, error) {
		<-ctx.Done()
		return nodeMetadata(), ctx.Err()
	}
	never := func(context.Context, string) (*metav1.PartialObjectMetadata, error) {
		t.Error("this source must not be asked")
		return nodeMetadata(), nil
	}
	for _, test := range []struct {
		name         string
		cached, live read
		unsynced     bool
		uid          types.UID
		found, fails bool
	}{
		{name: "a cached node is not read live", cached: has("cached"), live: never, uid: "cached", found: true},
		{name: "a node that the cache lacks is read live", cached: none, live: has("live"), uid: "live", found: true},
		{name: "a node that nobody has is not found", cached: none, live: none},
		{name: "a failed live read is an error", cached: none, live: broken, fails: true},
		{name: "a live read that takes too long is an error", cached: none, live: hangs, fails: true},
		{name: "an error of the cache is an error", cached: broken, live: never, fails: true},
		{
			name: "before the sync the cache is not asked", cached: never, live: has("live"), unsynced: true,
			uid: "live", found: true,
		},
		{name: "before the sync a failed live read is an error", cached: never, live: broken, unsynced: true, fails: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &Facts{addresses: &addresses{}, cached: test.cached, live: test.live}
			f.synced.Store(new(func() bool { return !test.unsynced }))
			began := time.Now()
			node, found, err := f.Node("worker-1")
			if found != test.found || (err != nil) != test.fails {
				t.Fatalf("found %v, error %v", found, err)
			}
			if found && (node.Name != "worker-1" || node.UID != test.uid || node.Labels["pool"] != "pci") {
				t.Errorf("got %+v", node)
			}
			if since := time.Since(began); since > 20*liveTimeout {
				t.Errorf("took %s", since)
			}
			if ready := f.Check(nil) == nil; ready == test.unsynced {
				t.Errorf("ready: %v", ready)
			}
		})
	}
}

func TestReduceKeepsWhatPoliciesLookAt(t *testing.T) {
	node := realisticNode(t, 7)
	object, err := reduce(node)
	if err != nil {
		t.Fatal(err)
	}
	kept := object.(*metav1.PartialObjectMetadata)
	if kept.Name != node.Name || kept.UID != node.UID || kept.ResourceVersion != node.ResourceVersion ||
		len(kept.Labels) != len(node.Labels) || kept.GroupVersionKind() != node.GroupVersionKind() {
		t.Errorf("kept %+v", kept)
	}
	if kept.Annotations != nil || kept.ManagedFields != nil {
		t.Error("kept more than needed")
	}
	full := wholeNode()
	raw := `{"metadata":{"name":"a","labels":{"a":"b"}},"spec":{"providerID":"AWS:///eu-1a/i-1","podCIDR":"10.244.0.0/24"},` +
		`"status":{"images":[{}],"capacity":{"cpu":"1e-999999999"},` +
		`"addresses":[{"type":"InternalIP","address":"10.0.0.1"}]}}`
	if err := json.Unmarshal([]byte(raw), &full.Object); err != nil {
		t.Fatal(err)
	}
	if object, err := reduce(full); err != nil {
		t.Error(err)
	} else if kept := object.(*unstructured.Unstructured); kept.GetName() != "a" || kept.GetLabels() != nil ||
		!slices.Equal(identitiesOf(kept), []string{"address 10.0.0.1", "machine i-1"}) ||
		len(kept.Object["status"].(map[string]any)) != 1 || len(kept.Object["spec"].(map[string]any)) != 1 {
		t.Errorf("kept %+v", kept)
	}
	if same, err := reduce("something else"); err != nil || same != "something else" {
		t.Errorf("got %v, %v", same, err)
	}
}

func TestNodesAreWatchedOnceAPolicyNeedsThem(t *testing.T) {
	watched, synced := 0, false
	f := &Facts{addresses: &addresses{}, log: logr.Discard(), watchNodes: func() (func() bool, error) {
		if watched++; watched == 1 {
			return nil, errors.New("not now")
		}
		return func() bool { return synced }, nil
	}}
	f.Expect(policy.NewSet())
	if err := f.Check(nil); watched != 0 || err != nil {
		t.Errorf("watched %d times without a policy, ready: %v", watched, err)
	}
	selecting, errs := rules.NewCompiler().Compile(&v1alpha1.NodeRestrictionPolicy{Spec: v1alpha1.NodeRestrictionPolicySpec{
		ValidationActions: []v1alpha1.ValidationAction{v1alpha1.Deny},
		Match:             &v1alpha1.Match{NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"pool": "pci"}}},
	}})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for range 3 { // the first fails, the third has nothing to do
		f.Expect(policy.NewSet(selecting))
	}
	if watched != 2 {
		t.Errorf("watched %d times, want 2", watched)
	}
	if f.Check(nil) == nil {
		t.Error("ready before all Nodes are known")
	}
	synced = true
	if err := f.Check(nil); err != nil {
		t.Error(err)
	}
}
