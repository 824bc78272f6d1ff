// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"bytes"
	"context"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"noderestriction.plus/internal/program"
)

// caSecret is the Secret with the CA that all replicas share. Whichever replica is first creates it, or rotates the CA in it,
// and the others use what they find. It is used by one goroutine.
type caSecret struct {
	name     types.NamespacedName
	client   corev1client.SecretInterface
	informer toolscache.SharedIndexInformer
	writes   attempts

	current  *ca       // the latest usable CA; nil: none yet
	version  string    // the resourceVersion that was read last
	rotation time.Time // when the CA of that version must be rotated; zero: now
	reason   string    // why
}

// newCASecret returns the Secret that the options name. Its informer must be run. changed is called after the Secret has changed.
func newCASecret(o Options, client kubernetes.Interface, changed func()) (*caSecret, error) {
	byName := fields.OneTermEqualSelector("metadata.name", o.Secret.Name)
	source := toolscache.NewListWatchFromClient(client.CoreV1().RESTClient(), "secrets", o.Secret.Namespace, byName)
	s := &caSecret{
		name: o.Secret, client: client.CoreV1().Secrets(o.Secret.Namespace),
		informer: o.NewInformer(source, &corev1.Secret{}, 0, toolscache.Indexers{}),
	}
	return s, onChange(s.informer, changed)
}

// stored returns the Secret in the cache, nil if it does not exist. It must not be changed.
func (s *caSecret) stored() *corev1.Secret {
	object, _, _ := s.informer.GetStore().GetByKey(s.name.String()) // the store makes no errors
	secret, _ := object.(*corev1.Secret)
	return secret
}

// read takes the CA from a Secret. A Secret without a usable CA is an error; the current CA stays.
func (s *caSecret) read(secret *corev1.Secret, now time.Time) error {
	s.version = secret.ResourceVersion
	found, err := readCA(secret, now)
	if err != nil {
		s.rotation, s.reason = time.Time{}, err.Error()
		return err
	}
	if s.current == nil || !s.current.cert.Equal(found.cert) {
		s.current = found
	}
	s.rotation, s.reason = renewal(found.cert), "the CA is due for rotation"
	if !bytes.Equal(secret.Data[caKey], secret.Data[corev1.TLSCertKey]) {
		s.rotation, s.reason = time.Time{}, caKey+" and "+corev1.TLSCertKey+" differ"
	}
	return nil
}

// rotationReason returns why a new CA must be written. It is empty if the CA stays. The Secret is the one that was read last, nil if
// it does not exist.
func (s *caSecret) rotationReason(stored *corev1.Secret, now time.Time) string {
	switch {
	case stored == nil:
		return "there is no Secret"
	case now.Before(s.rotation):
		return ""
	}
	return s.reason
}

// write writes a new CA for the Secret in the cache, which may be nil, if it is time for an attempt. The resourceVersion decides
// which replica succeeds.
func (s *caSecret) write(ctx context.Context, stored *corev1.Secret, now time.Time) (wrote bool, err error) {
	version := ""
	if stored != nil {
		version = stored.ResourceVersion
	}
	if !s.writes.due(version, now) {
		return false, nil
	}
	fresh, err := newCA(now)
	if err != nil {
		return false, err
	}
	data, err := fresh.data()
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if stored == nil {
		_, err = s.client.Create(ctx, s.empty(data), metav1.CreateOptions{FieldManager: fieldManager})
	} else {
		updated := stored.DeepCopy()
		if updated.Data == nil {
			updated.Data = map[string][]byte{}
		}
		maps.Copy(updated.Data, data)
		_, err = s.client.Update(ctx, updated, metav1.UpdateOptions{FieldManager: fieldManager})
	}
	return s.writes.made(ctx, err, now)
}

// empty returns the Secret to create.
func (s *caSecret) empty(data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.name.Namespace, Name: s.name.Name, Labels: map[string]string{"app.kubernetes.io/name": program.Name},
		},
		Data: data,
	}
}
