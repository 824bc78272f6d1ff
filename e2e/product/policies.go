// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package product

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"noderestriction.plus/api/v1alpha1"
)

// Policies is a client for NodeRestrictionPolicies.
func Policies(config *rest.Config) (client.Client, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	return client.New(config, client.Options{Scheme: scheme})
}

// Enforce creates or replaces a policy and waits until the product enforces it.
func Enforce(ctx context.Context, c client.Client, p *v1alpha1.NodeRestrictionPolicy) error {
	stored := &v1alpha1.NodeRestrictionPolicy{}
	stored.Name = p.Name
	// The product writes the status at the same time.
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		_, err := controllerutil.CreateOrUpdate(ctx, c, stored, func() error {
			stored.Spec = *p.Spec.DeepCopy()
			return nil
		})
		return err
	})
	if err != nil {
		return err
	}
	return AwaitReady(ctx, c, p.Name)
}

// Retire has a policy restrict nobody and waits until that is in force; then it deletes it. When a deletion alone is in
// force, nothing tells.
func Retire(ctx context.Context, c client.Client, name string) error {
	nobody := &v1alpha1.NodeRestrictionPolicy{}
	nobody.Name = name
	nobody.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
	nobody.Spec.Match = &v1alpha1.Match{NodeNames: []v1alpha1.Pattern{"nobody"}}
	nobody.Spec.Nodes.Finalizers = &v1alpha1.NodeFinalizers{}
	if err := Enforce(ctx, c, nobody); err != nil {
		return err
	}
	return client.IgnoreNotFound(c.Delete(ctx, nobody))
}

// AwaitReady waits until a policy is enforced as it is stored.
func AwaitReady(ctx context.Context, c client.Client, name string) error {
	var last string
	const interval, timeout = 10 * time.Millisecond, 30 * time.Second
	err := wait.PollUntilContextTimeout(ctx, interval, timeout, true, func(ctx context.Context) (bool, error) {
		p := &v1alpha1.NodeRestrictionPolicy{}
		if err := c.Get(ctx, client.ObjectKey{Name: name}, p); err != nil {
			return false, err
		}
		if p.Status == nil {
			last = "no status"
			return false, nil
		}
		ready := meta.FindStatusCondition(p.Status.Conditions, "Ready")
		if ready == nil || ready.ObservedGeneration != p.Generation {
			last = fmt.Sprintf("generation %d is not observed", p.Generation)
			return false, nil
		}
		last = fmt.Sprintf("Ready is %s: %s", ready.Status, ready.Message)
		return ready.Status == metav1.ConditionTrue, nil
	})
	if err != nil {
		return fmt.Errorf("policy %s: %w: %s", name, err, last)
	}
	return nil
}
