// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"noderestriction.plus/e2e/suite"
)

// kind is a kind of write.
type kind struct {
	name string
	// path and body return the nth write of its kind.
	path func(node string) string
	body func(n int64) string
	want int // status of the answer
}

func nodeStatus(node string) string { return "/api/v1/nodes/" + node + "/status" }

func at(n int64) string { return time.Unix(1_800_000_000+n, 0).UTC().Format(time.RFC3339) }

func heartbeat(n int64) string {
	return fmt.Sprintf(`{"status":{"conditions":[{"type":"Ready","lastHeartbeatTime":%q}]}}`, at(n))
}

// kinds returns the measured writes.
func kinds() []kind {
	return []kind{
		{name: "nodes/status", path: nodeStatus, body: heartbeat, want: http.StatusOK},
		{
			name: "pods/status",
			path: func(node string) string { return "/api/v1/namespaces/default/pods/pod-" + node + "/status" },
			body: func(n int64) string {
				return fmt.Sprintf(`{"status":{"conditions":[{"type":"Ready","lastProbeTime":%q}]}}`, at(n))
			},
			want: http.StatusOK,
		},
	}
}

// denied returns a write that every rule set here denies.
func denied() kind {
	return kind{
		name: "nodes/status, denied", path: nodeStatus, want: http.StatusForbidden,
		body: func(n int64) string { return fmt.Sprintf(`{"metadata":{"finalizers":["example.com/f%d"]}}`, n) },
	}
}

// kubelet writes to an API server.
type kubelet struct {
	node, host string
	http       *http.Client
}

func (k *kubelet) write(ctx context.Context, what kind, n int64, query string) (status int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPatch, k.host+what.path(k.node)+query,
		bytes.NewBufferString(what.body(n)))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", suite.StrategicPatch)
	response, err := k.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// writeAll makes kubelets write, each as soon as its previous write is answered, and returns the durations of the writes, sorted. An
// unexpected status is an error.
func writeAll(ctx context.Context, kubelets []*kubelet, what kind, writes int, sequence *atomic.Int64) ([]time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var begun atomic.Int64
	var mu sync.Mutex
	var took []time.Duration
	var group sync.WaitGroup
	for _, k := range kubelets {
		group.Go(func() {
			var mine []time.Duration
			for begun.Add(1) <= int64(writes) && ctx.Err() == nil {
				start := time.Now()
				status, body, err := k.write(ctx, what, sequence.Add(1), "")
				mine = append(mine, time.Since(start))
				if err == nil && status != what.want {
					err = fmt.Errorf("%s: %d %s", what.name, status, body)
				}
				if err != nil {
					cancel(err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
		})
	}
	group.Wait()
	slices.Sort(took)
	return took, context.Cause(ctx)
}
