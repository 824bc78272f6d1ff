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

// DenyFinalizers returns a policy that denies finalizers to the kubelets of the nodes that the patterns match, or of all nodes if
// there is no pattern.
func DenyFinalizers(name string, nodes ...v1alpha1.Pattern) *v1alpha1.NodeRestrictionPolicy {
	p := &v1alpha1.NodeRestrictionPolicy{}
	p.Name = name
	p.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
	if len(nodes) > 0 {
		p.Spec.Match = &v1alpha1.Match{NodeNames: nodes}
	}
	p.Spec.Nodes.Finalizers = &v1alpha1.NodeFinalizers{}
	return p
}

// Policies returns a client for NodeRestrictionPolicies.
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

// Retire deletes a policy. First it makes the policy match no node and waits until that is in force: nothing shows when a deletion
// takes effect.
func Retire(ctx context.Context, c client.Client, name string) error {
	nobody := DenyFinalizers(name, "nobody")
	if err := Enforce(ctx, c, nobody); err != nil {
		return err
	}
	return client.IgnoreNotFound(c.Delete(ctx, nobody))
}

// AwaitReady waits until a policy is enforced as it is stored.
func AwaitReady(ctx context.Context, c client.Client, name string) error {
	return awaitTrue(ctx, c, name, "Ready", 30*time.Second)
}

// AwaitGated waits until the match conditions are those of the policy as it is stored.
func AwaitGated(ctx context.Context, c client.Client, name string) error {
	return awaitTrue(ctx, c, name, "Gated", 3*time.Minute)
}

func awaitTrue(ctx context.Context, c client.Client, name, condition string, timeout time.Duration) error {
	var last string
	const interval = 10 * time.Millisecond
	err := wait.PollUntilContextTimeout(ctx, interval, timeout, true, func(ctx context.Context) (bool, error) {
		p := &v1alpha1.NodeRestrictionPolicy{}
		if err := c.Get(ctx, client.ObjectKey{Name: name}, p); err != nil {
			return false, err
		}
		if p.Status == nil {
			last = "no status"
			return false, nil
		}
		ready := meta.FindStatusCondition(p.Status.Conditions, condition)
		if ready == nil || ready.ObservedGeneration != p.Generation {
			last = fmt.Sprintf("generation %d is not observed", p.Generation)
			return false, nil
		}
		last = fmt.Sprintf("%s is %s: %s", condition, ready.Status, ready.Message)
		return ready.Status == metav1.ConditionTrue, nil
	})
	if err != nil {
		return fmt.Errorf("policy %s: %w: %s", name, err, last)
	}
	return nil
}
