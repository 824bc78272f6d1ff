// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"bytes"
	"errors"
	"fmt"
	stdlog "log"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestTheLogIsBounded(t *testing.T) {
	long := strings.Repeat("\x1b<", 4<<10)
	synctest.Test(t, func(t *testing.T) {
		for name, write := range map[string]func(log *zap.Logger, i int){
			"a long text":               func(log *zap.Logger, _ int) { log.Info("m", zap.String("k", long)) },
			"a long error":              func(log *zap.Logger, _ int) { log.Error("m", zap.Error(errors.New(long))) },
			"a large object":            func(log *zap.Logger, _ int) { log.Info("m", zap.Any("k", []string{long, long})) },
			"bytes":                     func(log *zap.Logger, _ int) { log.Info("m", zap.ByteString("k", []byte(long))) },
			"a long key":                func(log *zap.Logger, _ int) { log.Info("m", zap.Int(long, 1)) },
			"a long message":            func(log *zap.Logger, _ int) { log.Info(long) },
			"a text in the logger":      func(log *zap.Logger, _ int) { log.With(zap.String("k", long)).Info("m") },
			"a message with a number":   func(log *zap.Logger, i int) { log.Info(fmt.Sprintf("m %d", i%2000)) },
			"a stack":                   func(log *zap.Logger, _ int) { log.Info("m", zap.String("stack", long)) },
			"many values":               func(log *zap.Logger, _ int) { log.Info("m", slices.Repeat([]zap.Field{zap.Int("k", 1)}, 100)...) },
			"Go's standard log":         func(log *zap.Logger, i int) { stdlog.New(standardLog{log}, "", 0).Print(i, long) },
			"a long name of the logger": func(log *zap.Logger, _ int) { log.Named(long).Info("m") },
		} {
			var out bytes.Buffer
			log := zap.New(newLogCore(&out, zapcore.InfoLevel))
			for i := range 2000 {
				write(log, i)
			}
			if out.Len() == 0 || out.Len() > 1<<20 {
				t.Errorf("%s: %d bytes for 2000 lines", name, out.Len())
			}
			if strings.Contains(out.String(), "\x1b") {
				t.Errorf("%s: something that does not print", name)
			}
		}
	})
}

func TestTheLogSaysHowManyLinesItOmits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := zap.New(newLogCore(&out, zapcore.InfoLevel))
		for range 100 {
			log.Info("again")
		}
		log.Info("another")
		time.Sleep(streamInterval)
		log.Info("again")
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != streamBurst+2 || !strings.Contains(lines[len(lines)-1], `"omittedLines":70`) {
			t.Errorf("got %d lines, the last %s", len(lines), lines[len(lines)-1])
		}
	})
}
