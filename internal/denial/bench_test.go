// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denial

import (
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// BenchmarkRecord writes records to a pipe and waits for each, as the webhook does; ns/op is the time one denial takes.
func BenchmarkRecord(b *testing.B) {
	for _, equal := range []bool{false, true} {
		b.Run(fmt.Sprintf("equal=%v", equal), func(b *testing.B) {
			r, w, err := os.Pipe()
			if err != nil {
				b.Fatal(err)
			}
			read := make(chan error)
			go func() {
				_, err := io.Copy(io.Discard, r)
				read <- err
			}()
			l := New(w, NewMetrics(prometheus.NewRegistry(), rules.All()), newStatus(nil, logr.Discard()))
			rec := denied("worker-1")
			b.ReportAllocs()
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					rec := rec
					if !equal {
						rec.Fingerprint = fmt.Sprint(i)
					}
					if _, written := l.Record(rec); !written {
						b.Error("a record was lost")
					}
				}
			})
			b.StopTimer()
			closeLedger(b, l)
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
			if err := <-read; err != nil {
				b.Fatal(err)
			}
			if err := r.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkEvaluated counts an evaluated write, as the webhook does for each write.
func BenchmarkEvaluated(b *testing.B) {
	set := policy.NewSet(forbidsFinalizers(b, "a", 1), forbidsFinalizers(b, "b", 1))
	e := newEvaluations(nil, logr.Discard())
	e.Expect(set)
	r := nodeStatusWrite()
	d := set.Evaluate(r)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			e.Evaluated(r, d)
		}
	})
}
