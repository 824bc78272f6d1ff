// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
)

const (
	// maxFuzzed is the size of the largest input that must be done in time, in bytes.
	maxFuzzed = 64 << 10
	// generous is for how long one may take: on any machine all of them are done in milliseconds.
	generous = 2 * time.Second
)

// inTime fails if something takes too long.
func inTime(t *testing.T, do func()) {
	t.Helper()
	began := time.Now()
	do()
	if took := time.Since(began); took > generous {
		t.Errorf("it took %s", took)
	}
}

// FuzzCost looks for writes that take long, under each rule.
func FuzzCost(f *testing.F) {
	resources := []string{
		"nodes", "pods", "persistentvolumeclaims", "csinodes.storage.k8s.io", "events", "resourceslices.resource.k8s.io",
	}
	operations := []admissionv1.Operation{admissionv1.Create, admissionv1.Update, admissionv1.Delete}
	for name, request := range growths() {
		r := request(50)
		resource := byte(0)
		if r.Resource == "pods" {
			resource = 1
		}
		f.Add(resource, byte(1), "status", string(r.OldObject), string(r.Object))
		f.Add(resource, byte(0), "", "", string(r.Object))
		if name == "" {
			f.Fatal("a growth without a name")
		}
	}
	for resource := range resources {
		f.Add(byte(resource), byte(0), "", "", `{"status":{"capacity":{"cpu":"1e-999999999","a":1e-999999999}}}`)
	}
	set := everything(f)
	f.Fuzz(func(t *testing.T, resource, operation byte, subresource, old, object string) {
		old, object = old[:min(len(old), maxFuzzed/2)], object[:min(len(object), maxFuzzed/2)]
		r := policy.Request{
			NodeName: "n1", Write: policy.Write{
				Name: "n1", Version: "v1", Subresource: subresource,
				Resource:  resources[int(resource)%len(resources)],
				Operation: operations[int(operation)%len(operations)],
				OldObject: []byte(old), Object: []byte(object),
			}, InNodesGroup: true,
		}
		inTime(t, func() { evaluated(set, r) })
		r.Subject = cniAgent()
		inTime(t, func() { evaluated(set, r) })
	})
}

// FuzzCompile looks for policies that take long to decode or to compile, or whose errors are long.
func FuzzCompile(f *testing.F) {
	for _, spec := range []string{
		`{"nodes":{"capacity":{"max":{"cpu":"1e-999999999","memory":1e999999999}}}}`,
		`{"match":{"nodeNames":[` + strings.TrimSuffix(strings.Repeat(`"a",`, 10_000), ",") + `]}}`,
		`{"match":{"nodeNames":[` + members(5000, `"a%"`) + `]}}`,
		`{"match":{"nodeSelector":{"matchLabels":{` + members(3000, `"a%":"b"`) + `}}}}`,
		`{"nodes":{"info":{"allowed":{` + members(3000, `"a%":["b"]`) + `}}}}`,
		`{"subjects":{"usernamePrefixes":[` + members(5000, `"a%:"`) + `]},"objects":[` + members(5000, `{"resource":"a%","node":"a"}`) + `]}`,
		`{"validationActions":["Deny","Deny","Warn"],"nodes":{"taints":{"allowed":[{"key":"*"}]}}}`,
	} {
		f.Add([]byte(spec))
	}
	f.Fuzz(func(t *testing.T, spec []byte) {
		spec = spec[:min(len(spec), maxFuzzed)]
		inTime(t, func() {
			p := &v1alpha1.NodeRestrictionPolicy{}
			if json.Unmarshal(spec, &p.Spec) != nil {
				return
			}
			_, errs := NewCompiler().Compile(p)
			size := 0
			for _, err := range errs {
				size += len(err.Error())
			}
			if size > 1<<20 {
				t.Errorf("%d bytes of errors", size)
			}
			NewCompiler().Warnings(p)
		})
	})
}
