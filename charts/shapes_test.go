// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"os"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"noderestriction.plus/internal/shapetest"
)

// TestNoRecordedWriteNeedsTheProgram: with every replica down, none of the writes that real kubelets were seen to make meets a webhook
// that fails closed.
func TestNoRecordedWriteNeedsTheProgram(t *testing.T) {
	data, err := os.ReadFile("../policy/rules/testdata/shapes.tsv")
	if err != nil {
		t.Fatal(err)
	}
	shapes, err := shapetest.Read(data)
	if err != nil || len(shapes) != 130 {
		t.Fatal(len(shapes), err)
	}
	c := newCaller(t)
	closed := map[string]bool{}
	for _, w := range c.webhooks {
		closed[w.Name] = *w.FailurePolicy == admissionregistrationv1.Fail
	}
	mirrorPods := 0
	for _, shape := range shapes {
		t.Run(strings.ReplaceAll(shape.Name, "/", "."), func(t *testing.T) {
			called, failed := c.calls("system:node:n1", shape.Request)
			if len(failed) > 0 {
				t.Errorf("the conditions of %q end in an error", failed)
			}
			if shape.Request.Resource == "pods" && shape.Request.Subresource == "" && shape.Request.Operation == admissionv1.Create {
				mirrorPods++
			}
			for _, name := range called {
				if closed[name] {
					t.Errorf("meets %s, which fails closed: %s → %s", name, shape.Request.OldObject, shape.Request.Object)
				}
			}
		})
	}
	if mirrorPods == 0 {
		t.Error("there is no creation of a mirror pod among the shapes")
	}
}
