// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package observability_test

import (
	"context"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// store holds series in memory, for Prometheus' query engine: its database would bring half of the cloud's client libraries with
// it. The samples of each series must be in the order of time.
type store []storage.Series

func (s *store) add(name labels.Labels, samples []chunks.Sample) {
	*s = append(*s, storage.NewListSeries(name, samples))
}

// Querier implements storage.Queryable. The engine itself drops samples outside of the time that it looks at.
func (s store) Querier(_, _ int64) (storage.Querier, error) { return s, nil }

// Select implements storage.Querier.
func (s store) Select(
	_ context.Context, sorted bool, _ *storage.SelectHints, matchers ...*labels.Matcher,
) storage.SeriesSet {
	var found []storage.Series
	for _, series := range s {
		if matches(series.Labels(), matchers) {
			found = append(found, series)
		}
	}
	if sorted {
		slices.SortFunc(found, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	}
	return &seriesSet{series: found, at: -1}
}

func matches(name labels.Labels, matchers []*labels.Matcher) bool {
	return !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(name.Get(m.Name)) })
}

// LabelValues implements storage.LabelQuerier.
func (s store) LabelValues(
	_ context.Context, label string, _ *storage.LabelHints, matchers ...*labels.Matcher,
) ([]string, annotations.Annotations, error) {
	var values []string
	for _, series := range s {
		if value := series.Labels().Get(label); value != "" && matches(series.Labels(), matchers) {
			values = append(values, value)
		}
	}
	slices.Sort(values)
	return slices.Compact(values), nil, nil
}

// LabelNames implements storage.LabelQuerier. The engine does not ask.
func (store) LabelNames(
	context.Context, *storage.LabelHints, ...*labels.Matcher,
) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

// Close implements storage.Querier.
func (store) Close() error { return nil }

type seriesSet struct {
	series []storage.Series
	at     int
}

func (s *seriesSet) Next() bool {
	s.at++
	return s.at < len(s.series)
}
func (s *seriesSet) At() storage.Series              { return s.series[s.at] }
func (*seriesSet) Err() error                        { return nil }
func (*seriesSet) Warnings() annotations.Annotations { return nil }

// sample is a value at a time, in milliseconds.
type sample struct {
	at    int64
	value float64
}

func (s sample) T() int64                    { return s.at }
func (sample) ST() int64                     { return 0 }
func (s sample) F() float64                  { return s.value }
func (sample) H() *histogram.Histogram       { return nil }
func (sample) FH() *histogram.FloatHistogram { return nil }
func (sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample         { return s }
