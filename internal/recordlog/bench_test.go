// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"noderestriction.plus/internal/recordlog"
)

// BenchmarkRead reads, checks and counts a log as kubectl prints it.
func BenchmarkRead(b *testing.B) {
	for name, line := range map[string]func(int) string{"full": full, "compact": compact} {
		b.Run(name, func(b *testing.B) {
			const lines = 10_000
			var log bytes.Buffer
			for n := 1; n <= lines; n++ {
				log.WriteString("[pod/nrp-0/main] " + line(n) + "\n")
			}
			b.SetBytes(int64(log.Len()))
			b.ReportAllocs()
			for b.Loop() {
				count(b, log.Bytes(), lines)
			}
			b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}

func count(b *testing.B, data []byte, want uint64) {
	reader, err := recordlog.NewReader(bytes.NewReader(data))
	if err != nil {
		b.Fatal(err)
	}
	log, groups, filter := recordlog.NewLog(), recordlog.NewGroups(recordlog.ByNode, recordlog.ByRule), recordlog.Filter{}
	for {
		line, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if entry := log.Add("a.log", &line); entry != nil {
			if match, violations := filter.Match(entry); match == recordlog.Yes {
				groups.Add(entry, violations)
			}
		}
	}
	if found := log.Verify(recordlog.Allowances{}); !found.Complete || found.Records != want || groups.Records() != want {
		b.Fatalf("got %+v", found)
	}
}
