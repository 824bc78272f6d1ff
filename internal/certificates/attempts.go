// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	toolscache "k8s.io/client-go/tools/cache"
)

const (
	// The first retry for a version comes after minRetry, and the time doubles with each failure up to maxRetry. minRetry is
	// also the least time between two writes, in case somebody undoes each of them.
	minRetry = time.Second
	maxRetry = 10 * time.Second

	// writeTimeout bounds one write.
	writeTimeout = 10 * time.Second
)

// attempts spaces the writes of one object.
type attempts struct {
	version  string        // the resourceVersion of the latest attempt; empty: there was no object
	failures int           // with that version
	wait     time.Duration // until the next attempt
	last     time.Time     // of the latest attempt
}

// due reports whether it is time to write this version.
func (a *attempts) due(version string, now time.Time) bool {
	if version != a.version {
		a.version, a.failures, a.wait = version, 0, minRetry
	}
	return now.Sub(a.last) >= a.wait
}

// made records an attempt and reports whether it wrote. If another writer was faster, that is not an error at first: a newer
// version is on its way.
func (a *attempts) made(ctx context.Context, err error, now time.Time) (wrote bool, _ error) {
	a.last, a.wait = now, min(max(minRetry, 2*a.wait), maxRetry)
	if err == nil {
		a.failures = 0
		return true, nil
	}
	a.failures++
	contested := apierrors.IsConflict(err) || apierrors.IsInvalid(err) || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err)
	if contested && a.failures == 1 || errors.Is(ctx.Err(), context.Canceled) {
		return false, nil
	}
	return false, err
}

// onChange has an informer call changed for each event.
func onChange(informer toolscache.SharedIndexInformer, changed func()) error {
	_, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed() },
		UpdateFunc: func(any, any) { changed() },
		DeleteFunc: func(any) { changed() },
	})
	return err
}
