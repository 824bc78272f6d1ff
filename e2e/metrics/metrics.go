// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package metrics reads the metrics of a program.
package metrics

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/client-go/kubernetes"
)

// Metrics are the metrics of a program at one moment, by name.
type Metrics map[string]*dto.MetricFamily

// FromURL reads the metrics at a URL.
func FromURL(ctx context.Context, url string) (Metrics, error) {
	return FromClient(ctx, http.DefaultClient, url)
}

// FromClient reads the metrics at a URL with a client that can authenticate.
func FromClient(ctx context.Context, client *http.Client, url string) (Metrics, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, response.Status)
	}
	return parse(response.Body)
}

// FromAPIServer reads the metrics of an API server.
func FromAPIServer(ctx context.Context, admin kubernetes.Interface) (Metrics, error) {
	data, err := admin.Discovery().RESTClient().Get().AbsPath("/metrics").Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	return parse(bytes.NewReader(data))
}

func parse(text io.Reader) (Metrics, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(text)
}

// Sum adds up the series of a counter or gauge that have all these labels, given as names and values in turn. It returns 0 if there
// are no such series.
func (m Metrics) Sum(name string, labels ...string) float64 {
	total := 0.0
	for _, series := range m[name].GetMetric() {
		if hasLabels(series, labels) {
			total += series.GetCounter().GetValue() + series.GetGauge().GetValue()
		}
	}
	return total
}

func hasLabels(series *dto.Metric, labels []string) bool {
	values := map[string]string{}
	for _, pair := range series.GetLabel() {
		values[pair.GetName()] = pair.GetValue()
	}
	for i := 0; i+1 < len(labels); i += 2 {
		if values[labels[i]] != labels[i+1] {
			return false
		}
	}
	return true
}
