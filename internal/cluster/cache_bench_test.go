// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
)

// realisticNode is the metadata of a Node as an API server of a cloud sends it.
func realisticNode(tb testing.TB, i int) *metav1.PartialObjectMetadata {
	tb.Helper()
	var labels []string
	for j := range 15 {
		labels = append(labels, fmt.Sprintf(`"topology.example.com/label-%02d": "value-%d-%d"`, j, j, i))
	}
	raw := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Node", "metadata": {
		"name": "ip-10-0-%d-%d.eu-central-1.compute.internal", "uid": "5f6b2c1e-0000-4000-8000-%012d",
		"resourceVersion": "%d",
		"labels": {%s}, "annotations": {"csi.volume.kubernetes.io/nodeid": %q, "node.alpha.kubernetes.io/ttl": "0"},
		"managedFields": [{"manager": "kubelet", "operation": "Update", "apiVersion": "v1", "fieldsV1":
		{"f:metadata": {"f:labels":
		{%s}}}}]}}`, i/256, i%256, i, 1000+i, strings.Join(labels, ","), strings.Repeat("x", 200),
		strings.Join(labels, ","))
	node := &metav1.PartialObjectMetadata{}
	if err := json.Unmarshal([]byte(raw), node); err != nil {
		tb.Fatal(err)
	}
	return node
}

// BenchmarkMemoryPerNode measures what the cache holds for a Node, as B/node, and what it would hold without reduce.
func BenchmarkMemoryPerNode(b *testing.B) {
	const nodes = 5000
	for name, transform := range map[string]toolscache.TransformFunc{
		"reduced": reduce,
		"whole":   func(object any) (any, error) { return object, nil },
	} {
		b.Run(name, func(b *testing.B) {
			var perNode float64
			for b.Loop() {
				before := heap()
				store := toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, toolscache.Indexers{
					toolscache.NamespaceIndex: toolscache.MetaNamespaceIndexFunc,
				})
				for i := range nodes {
					kept, err := transform(realisticNode(b, i))
					if err != nil {
						b.Fatal(err)
					}
					if err := store.Add(kept); err != nil {
						b.Fatal(err)
					}
				}
				perNode = float64(heap()-before) / nodes
				runtime.KeepAlive(store)
			}
			b.ReportMetric(perNode, "B/node")
		})
	}
}

// heap is the size of what is alive, in bytes.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
