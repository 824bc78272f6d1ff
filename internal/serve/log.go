// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"fmt"
	"io"
	stdlog "log"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLogger returns the webhook's log: JSON lines, bounded in size and rate. Go's standard logger, which libraries use, writes to
// it too. Records of denials are not part of it.
func newLogger(to io.Writer, levelName string) (logr.Logger, error) {
	level, err := logLevel(levelName)
	if err != nil {
		return logr.Logger{}, err
	}
	log := zap.New(newLogCore(to, level), zap.AddStacktrace(zapcore.PanicLevel))
	stdlog.SetFlags(0)
	stdlog.SetOutput(standardLog{log.Named("go")})
	return zapr.NewLogger(log), nil
}

func newLogCore(to io.Writer, level zapcore.Level) zapcore.Core {
	config := zap.NewProductionEncoderConfig()
	config.TimeKey = "ts"
	config.EncodeTime = func(t time.Time, encoder zapcore.PrimitiveArrayEncoder) {
		encoder.AppendString(t.UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	return newBoundedCore(zapcore.NewCore(zapcore.NewJSONEncoder(config), zapcore.Lock(zapcore.AddSync(to)), level))
}

func logLevel(name string) (zapcore.Level, error) {
	switch name {
	case "debug":
		return zapcore.DebugLevel, nil
	case "info":
		return zapcore.InfoLevel, nil
	case "error":
		return zapcore.ErrorLevel, nil
	}
	return 0, fmt.Errorf("must be debug, info or error, not %q", name)
}
