// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"noderestriction.plus/internal/replay"
)

// BenchmarkReplay replays heartbeats of Nodes with 50 images, of 10 KB each, at level RequestResponse. It reports how many seconds of CPU a
// GiB takes, since the machine may be busy.
func BenchmarkReplay(b *testing.B) {
	w := newWorld(&testing.T{}, 1)
	var images []any
	for i := range 50 {
		images = append(images, fields{"names": []any{
			fmt.Sprintf("registry.example.com/app-%d@sha256:%016x%016x%016x%016x", i, w.random.Uint64(), w.random.Uint64(), w.random.Uint64(), w.random.Uint64()),
			fmt.Sprintf("registry.example.com/app-%d:v1.%d", i, i),
		}, "sizeBytes": 123456789})
	}
	for _, node := range []string{"worker-1", "worker-2"} {
		w.register(node)
		w.nodePatch(node, "strategic", fields{"status": fields{"images": images}})
	}
	for range 1000 {
		for _, node := range []string{"worker-1", "worker-2"} {
			at := w.clock.Format(time.RFC3339)
			conditions := []any{fields{"type": "Ready", "lastHeartbeatTime": at}, fields{"type": "MemoryPressure", "lastHeartbeatTime": at}}
			w.nodePatch(node, "strategic", fields{"status": fields{"conditions": conditions, "$setElementOrder/conditions": order(conditions...)}})
		}
	}
	log := w.lines(damage{}, w.random)
	policies := presets(b, "recommended")
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	before := cpu(b)
	for b.Loop() {
		replayed(b, log, &replay.Options{Policies: policies})
	}
	b.ReportMetric((cpu(b)-before).Seconds()/float64(b.N)*float64(1<<30)/float64(len(log)), "cpu-s/GiB")
}

// cpu is the time of all processors that the process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
