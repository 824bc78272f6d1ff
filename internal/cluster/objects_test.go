// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
)

func TestLook(t *testing.T) {
	for _, test := range []struct {
		name         string
		read         func(context.Context) (*corev1.Pod, error)
		found, fails bool
	}{
		{
			name:  "what is there is found",
			read:  func(context.Context) (*corev1.Pod, error) { return &corev1.Pod{}, nil },
			found: true,
		},
		{
			name: "what is not there is no error",
			read: func(context.Context) (*corev1.Pod, error) {
				return &corev1.Pod{}, apierrors.NewNotFound(corev1.Resource("pods"), "web")
			},
		},
		{
			name:  "what may not be read is an error",
			read:  func(context.Context) (*corev1.Pod, error) { return &corev1.Pod{}, errors.New("forbidden") },
			fails: true,
		},
		{
			name: "what takes too long is an error",
			read: func(ctx context.Context) (*corev1.Pod, error) {
				<-ctx.Done()
				return &corev1.Pod{}, ctx.Err()
			},
			fails: true,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			pod, found, err := look(test.read)
			if found != test.found || (pod != nil) != test.found || (err != nil) != test.fails {
				t.Errorf("got %v, %v, %v", pod, found, err)
			}
		})
	}
}

func TestNamesCannotLeaveTheirPath(t *testing.T) {
	config := &rest.Config{Host: "http://127.0.0.1:1"}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := NewObjects(config, client)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../../secrets/admin", "a/b", "..", "a%2fb"} {
		if _, found, err := objects.Pod("shop", name); found || err == nil {
			t.Errorf("%q: found %v, error %v", name, found, err)
		}
	}
}
