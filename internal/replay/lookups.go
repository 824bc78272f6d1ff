// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"bytes"
	"errors"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"noderestriction.plus/policy"
	"noderestriction.plus/policy/object"
)

// lookups are Facts that are not known, because the log does not have what a lookup would have found at that time.
type lookups struct {
	asked bool
	what  string
}

var _ policy.Facts = (*lookups)(nil)

var errNotLogged = errors.New("the audit log does not have it")

func (l *lookups) ask(what string) error {
	l.asked, l.what = true, what
	return errNotLogged
}

// Node implements policy.Facts.
func (l *lookups) Node(string) (*object.Metadata, bool, error) { return nil, false, l.ask("the Node") }

// NodeObject implements policy.Facts.
func (l *lookups) NodeObject(string) (*corev1.Node, bool, error) {
	return nil, false, l.ask("the Node")
}

// NodesAt implements policy.Facts.
func (l *lookups) NodesAt(string) ([]string, error) {
	return nil, l.ask("the addresses of other Nodes")
}

// NodesOf implements policy.Facts.
func (l *lookups) NodesOf(string) ([]string, error) {
	return nil, l.ask("the provider IDs of other Nodes")
}

// Pod implements policy.Facts.
func (l *lookups) Pod(string, string) (*corev1.Pod, bool, error) {
	return nil, false, l.ask("the pod")
}

// ServiceAccount implements policy.Facts.
func (l *lookups) ServiceAccount(string, string) (*object.Metadata, bool, error) {
	return nil, false, l.ask("the ServiceAccount")
}

// PersistentVolumeClaim implements policy.Facts.
func (l *lookups) PersistentVolumeClaim(string, string) (*corev1.PersistentVolumeClaim, bool, error) {
	return nil, false, l.ask("the PersistentVolumeClaim")
}

// PersistentVolume implements policy.Facts.
func (l *lookups) PersistentVolume(string) (*corev1.PersistentVolume, bool, error) {
	return nil, false, l.ask("the PersistentVolume")
}

// CSIDriver implements policy.Facts.
func (l *lookups) CSIDriver(string) (*storagev1.CSIDriver, bool, error) {
	return nil, false, l.ask("the CSIDriver")
}

// CSIDriverNames implements policy.Facts.
func (l *lookups) CSIDriverNames() ([]string, error) { return nil, l.ask("the CSIDrivers") }

// Authorized implements policy.Facts.
func (l *lookups) Authorized(*authorizationv1.SubjectAccessReviewSpec) (bool, error) {
	return false, l.ask("what RBAC allows")
}

// APIAudiences implements policy.Facts.
func (l *lookups) APIAudiences() ([]string, error) {
	return nil, l.ask("the audiences of the API server")
}

func buffer(data []byte) *bytes.Buffer { return bytes.NewBuffer(data) }
