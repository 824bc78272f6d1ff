// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/time/rate"

	"noderestriction.plus/internal/text"
)

// The container's log also has the records, so a flood of other lines would rotate them away. All lines of the webhook's log,
// including those of libraries, are bounded in size and rate here, where no caller can forget it: other packages log foreign text
// as it is, and as often as it comes.
const (
	maxLogText  = 256     // of a value, in bytes
	maxLogError = 1 << 10 // of an error
	maxLogStack = 8 << 10 // of a stack
	maxLogKeys  = 32      // values of a line

	// Lines of one logger with one message are a stream. A stream has a burst, and one line per interval after that.
	streamBurst    = 30
	streamInterval = 5 * time.Second
	// maxStreams is the maximum number of streams; all others share one.
	maxStreams = 1000
)

// boundedCore bounds what is logged.
type boundedCore struct {
	zapcore.Core
	streams *streams
}

func newBoundedCore(to zapcore.Core) zapcore.Core {
	return &boundedCore{to, &streams{known: map[stream]*flow{}}}
}

// With implements zapcore.Core.
func (c *boundedCore) With(fields []zapcore.Field) zapcore.Core {
	return &boundedCore{c.Core.With(boundFields(fields)), c.streams}
}

// Check implements zapcore.Core.
func (c *boundedCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c *boundedCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	allowed, left := c.streams.allow(stream{entry.Level, entry.LoggerName, entry.Message}, entry.Time)
	if !allowed {
		return nil
	}
	entry.Message = text.Bound(entry.Message, maxLogError)
	entry.LoggerName = text.Bound(entry.LoggerName, maxLogText)
	if len(entry.Stack) > maxLogStack {
		entry.Stack = entry.Stack[:maxLogStack]
	}
	fields = boundFields(fields)
	if left > 0 {
		fields = append(fields, zap.Uint64("omittedLines", left))
	}
	return c.Core.Write(entry, fields)
}

// boundFields returns the fields with every text bounded and printable. Values other than numbers become text.
func boundFields(fields []zapcore.Field) []zapcore.Field {
	bounded := make([]zapcore.Field, 0, min(len(fields), maxLogKeys)+1)
	for _, f := range fields[:min(len(fields), maxLogKeys)] {
		f.Key = text.Bound(f.Key, maxLogText)
		switch f.Type {
		case zapcore.StringType:
			f.String = boundText(f.Key, f.String)
		case zapcore.ErrorType:
			f = zap.String(f.Key, text.Bound(fmt.Sprint(f.Interface), maxLogError))
		case zapcore.ByteStringType, zapcore.BinaryType:
			f = zap.String(f.Key, boundText(f.Key, string(f.Interface.([]byte))))
		case zapcore.StringerType, zapcore.ReflectType, zapcore.ArrayMarshalerType, zapcore.ObjectMarshalerType,
			zapcore.InlineMarshalerType, zapcore.Complex64Type, zapcore.Complex128Type:
			f = zap.String(f.Key, boundText(f.Key, fmt.Sprint(f.Interface)))
		}
		bounded = append(bounded, f)
	}
	return bounded
}

func boundText(key, value string) string {
	if key == "stack" || key == "stacktrace" {
		return value[:min(len(value), maxLogStack)] // keeps its line breaks; the encoder escapes what does not print
	}
	return text.Bound(value, maxLogText)
}

// stream identifies the lines that are bounded together.
type stream struct {
	level           zapcore.Level
	logger, message string
}

// flow limits the lines of one stream.
type flow struct {
	limit   *rate.Limiter
	omitted uint64
}

// streams bounds the rate of lines.
type streams struct {
	mu    sync.Mutex
	known map[stream]*flow
}

// allow reports whether a line may be written, and how many lines of its stream have been omitted before.
func (s *streams) allow(of stream, now time.Time) (allowed bool, omitted uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.known[of]
	if !ok && len(s.known) >= maxStreams {
		of = stream{}
		f, ok = s.known[of]
	}
	if !ok {
		f = &flow{limit: rate.NewLimiter(rate.Every(streamInterval), streamBurst)}
		s.known[of] = f
	}
	if !f.limit.AllowN(now, 1) {
		f.omitted++
		return false, 0
	}
	omitted, f.omitted = f.omitted, 0
	return true, omitted
}

// standardLog receives the lines of Go's standard logger, to which the servers for health and metrics write when a client
// disconnects.
type standardLog struct{ log *zap.Logger }

// Write implements io.Writer.
func (l standardLog) Write(line []byte) (int, error) {
	l.log.Info("Standard log", zap.ByteString("line", line[:min(len(line), maxLogError)]))
	return len(line), nil
}
