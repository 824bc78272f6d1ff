// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package review

import (
	"errors"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"noderestriction.plus/policy"
	"noderestriction.plus/policy/object"
)

const (
	// lookupTime bounds the time of all lookups of a write together.
	lookupTime = 500 * time.Millisecond
	// lookupMargin is how long before the end of the evaluation no lookup begins any more. A lookup takes at most 300 ms, so it
	// ends before a sender that waits for a second or longer gives up.
	lookupMargin = 100 * time.Millisecond
)

var errOutOfTime = errors.New("the lookups have taken too long")

// guard bounds the time of a write. It is the [policy.Clock] of the write, and its [policy.Facts]: lookups fail once their
// time is over.
type guard struct {
	facts policy.Facts
	last  time.Time     // when evaluation must end; zero: never
	spent time.Duration // on lookups
}

var (
	_ policy.Clock = (*guard)(nil)
	_ policy.Facts = (*guard)(nil)
)

// Over implements policy.Clock.
func (g *guard) Over() bool { return !g.last.IsZero() && time.Now().After(g.last) }

// allowed returns an error if there is no time for another lookup that begins now.
func (g *guard) allowed(now time.Time) error {
	if g.spent >= lookupTime || !g.last.IsZero() && now.Add(lookupMargin).After(g.last) {
		return errOutOfTime
	}
	return nil
}

// ask does a lookup.
func ask[T any](g *guard, look func() (T, error)) (T, error) {
	began := time.Now()
	if err := g.allowed(began); err != nil {
		return *new(T), err
	}
	defer func() { g.spent += time.Since(began) }()
	return look()
}

// find looks an object up.
func find[T any](g *guard, look func() (*T, bool, error)) (*T, bool, error) {
	found := false
	object, err := ask(g, func() (object *T, err error) {
		object, found, err = look()
		return object, err
	})
	return object, found, err
}

// Node implements policy.Facts.
func (g *guard) Node(name string) (*object.Metadata, bool, error) {
	return find(g, func() (*object.Metadata, bool, error) { return g.facts.Node(name) })
}

// NodeObject implements policy.Facts.
func (g *guard) NodeObject(name string) (*corev1.Node, bool, error) {
	return find(g, func() (*corev1.Node, bool, error) { return g.facts.NodeObject(name) })
}

// NodesAt implements policy.Facts.
func (g *guard) NodesAt(address string) ([]string, error) {
	return ask(g, func() ([]string, error) { return g.facts.NodesAt(address) })
}

// NodesOf implements policy.Facts.
func (g *guard) NodesOf(machine string) ([]string, error) {
	return ask(g, func() ([]string, error) { return g.facts.NodesOf(machine) })
}

// Pod implements policy.Facts.
func (g *guard) Pod(namespace, name string) (*corev1.Pod, bool, error) {
	return find(g, func() (*corev1.Pod, bool, error) { return g.facts.Pod(namespace, name) })
}

// ServiceAccount implements policy.Facts.
func (g *guard) ServiceAccount(namespace, name string) (*object.Metadata, bool, error) {
	return find(g, func() (*object.Metadata, bool, error) { return g.facts.ServiceAccount(namespace, name) })
}

// PersistentVolumeClaim implements policy.Facts.
func (g *guard) PersistentVolumeClaim(namespace, name string) (*corev1.PersistentVolumeClaim, bool, error) {
	return find(g, func() (*corev1.PersistentVolumeClaim, bool, error) {
		return g.facts.PersistentVolumeClaim(namespace, name)
	})
}

// PersistentVolume implements policy.Facts.
func (g *guard) PersistentVolume(name string) (*corev1.PersistentVolume, bool, error) {
	return find(g, func() (*corev1.PersistentVolume, bool, error) { return g.facts.PersistentVolume(name) })
}

// CSIDriver implements policy.Facts.
func (g *guard) CSIDriver(name string) (*storagev1.CSIDriver, bool, error) {
	return find(g, func() (*storagev1.CSIDriver, bool, error) { return g.facts.CSIDriver(name) })
}

// CSIDriverNames implements policy.Facts.
func (g *guard) CSIDriverNames() ([]string, error) {
	return ask(g, g.facts.CSIDriverNames)
}

// Authorized implements policy.Facts.
func (g *guard) Authorized(access *authorizationv1.SubjectAccessReviewSpec) (bool, error) {
	return ask(g, func() (bool, error) { return g.facts.Authorized(access) })
}

// APIAudiences implements policy.Facts.
func (g *guard) APIAudiences() ([]string, error) {
	return ask(g, func() ([]string, error) { return g.facts.APIAudiences() })
}
