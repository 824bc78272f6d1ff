// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package follow

import (
	"encoding/json"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/internal/conditions"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/wiring"
)

const gate, status = "gate.noderestriction.plus", "status.noderestriction.plus"

func lineIs(expression string) []admissionregistrationv1.MatchCondition {
	return []admissionregistrationv1.MatchCondition{{Name: "kubelet", Expression: "k"}, {Name: "line", Expression: expression}}
}

// rendered is a configuration as the chart renders it.
func rendered(t *testing.T) *admissionregistrationv1.ValidatingWebhookConfiguration {
	t.Helper()
	c := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	c.Name, c.ResourceVersion = "nrp", "7"
	c.Webhooks = []admissionregistrationv1.ValidatingWebhook{
		{Name: "policies.noderestriction.plus"}, {Name: gate, MatchConditions: lineIs("chart.gate")}, {Name: status, MatchConditions: lineIs("chart.status")},
	}
	var installed wiring.Installed
	for _, w := range c.Webhooks {
		installed.Webhooks = append(installed.Webhooks, admissionregistrationv1.ValidatingWebhook{
			Name: w.Name, MatchConditions: digested(w.MatchConditions),
		})
	}
	text, err := json.Marshal(installed)
	if err != nil {
		t.Fatal(err)
	}
	c.Annotations = map[string]string{wiring.Annotation: string(text)}
	return c
}

var wanted = conditions.Webhooks{gate: lineIs("new.gate"), status: lineIs("chart.status")}

// asPatched returns the configuration after the operations, as far as these are those of patchConditions.
func asPatched(t *testing.T, c *admissionregistrationv1.ValidatingWebhookConfiguration, operations []operation) *admissionregistrationv1.ValidatingWebhookConfiguration {
	t.Helper()
	c = c.DeepCopy()
	for _, o := range operations {
		switch o.Path {
		case "/metadata/resourceVersion":
			if o.Op != "test" || o.Value != c.ResourceVersion {
				t.Fatalf("the version is not tested: %v", o)
			}
		case "/metadata/annotations/noderestriction.plus~1conditions":
			c.Annotations[writtenAnnotation] = o.Value.(string)
		case "/webhooks/1/matchConditions":
			c.Webhooks[1].MatchConditions = o.Value.([]admissionregistrationv1.MatchCondition)
		default:
			t.Fatalf("unexpected operation %v", o)
		}
	}
	return c
}

func TestPatchConditions(t *testing.T) {
	c := rendered(t)
	if by := authorOfConditions(c, wanted); by != theChart {
		t.Errorf("the author is %s", by)
	}
	operations, err := patchConditions(c, wanted)
	if err != nil || len(operations) != 3 || operations[0].Op != "test" {
		t.Fatalf("the operations are %v, %v", operations, err)
	}
	c = asPatched(t, c, operations)
	if operations, err := patchConditions(c, wanted); operations != nil || err != nil {
		t.Errorf("after the patch, the operations are %v, %v", operations, err)
	}
	if by := authorOfConditions(c, wanted); by != theProgram {
		t.Errorf("after the patch, the author is %s", by)
	}
	c.Webhooks[1].MatchConditions = lineIs("false")
	if by := authorOfConditions(c, wanted); by != somebodyElse {
		t.Errorf("of other conditions, the author is %s", by)
	}
	c.Webhooks[1].MatchConditions = lineIs("chart.gate")
	if by := authorOfConditions(c, wanted); by != theChart {
		t.Errorf("after helm upgrade, the author is %s", by)
	}
	c.Annotations[writtenAnnotation] = "{"
	c.Webhooks[1].MatchConditions = lineIs("new.gate")
	if operations, err := patchConditions(c, wanted); len(operations) != 2 || err != nil {
		t.Errorf("with a broken annotation, the operations are %v, %v", operations, err)
	}
	c.Webhooks = c.Webhooks[:2]
	if operations, err := patchConditions(c, wanted); err == nil || !strings.Contains(err.Error(), status) || operations != nil {
		t.Errorf("without a webhook, the error is %v", err)
	}
}

func TestPatchFloor(t *testing.T) {
	p := &admissionregistrationv1.ValidatingAdmissionPolicy{}
	p.Name, p.ResourceVersion = "nrp.policies", "8"
	p.Spec.Validations = []admissionregistrationv1.Validation{{Expression: "true"}}
	p.Annotations = map[string]string{wiring.Annotation: `{"validations":[{"expression":"` + wiring.Digest("true") + `"}]}`}
	if by := floorAuthor(p); by != theChart {
		t.Errorf("the author is %s", by)
	}
	want := &conditions.Floor{
		Variables:        []admissionregistrationv1.Variable{{Name: "v", Expression: "e"}},
		Validations:      []admissionregistrationv1.Validation{{Expression: "!variables.v"}},
		AuditAnnotations: []admissionregistrationv1.AuditAnnotation{{Key: "k", ValueExpression: "''"}},
	}
	var paths []string
	for _, o := range patchFloor(p, want) {
		paths = append(paths, o.Op+" "+o.Path)
	}
	if got := strings.Join(paths, ", "); got != "test /metadata/resourceVersion, add /spec/variables, add /spec/validations, "+
		"add /spec/auditAnnotations, add /metadata/annotations/noderestriction.plus~1conditions" {
		t.Errorf("the operations are %s", got)
	}
	p.Spec.Variables, p.Spec.Validations, p.Spec.AuditAnnotations = want.Variables, want.Validations, want.AuditAnnotations
	p.Annotations[writtenAnnotation] = annotate(p, digestOf(want)).Value.(string)
	if operations := patchFloor(p, want); operations != nil {
		t.Errorf("after the patch, the operations are %v", operations)
	}
	if by := floorAuthor(p); by != theProgram {
		t.Errorf("after the patch, the author is %s", by)
	}
	none := &conditions.Floor{Validations: []admissionregistrationv1.Validation{{Expression: "true"}}}
	if operations := patchFloor(p, none); len(operations) != 5 || operations[1].Op != "remove" || operations[3].Op != "remove" {
		t.Errorf("without variables, the operations are %v", operations)
	}
	p.Spec.Validations = []admissionregistrationv1.Validation{{Expression: "1 == 1"}}
	if by := floorAuthor(p); by != somebodyElse {
		t.Errorf("of other validations, the author is %s", by)
	}
}

func TestDisown(t *testing.T) {
	entry := func(manager string, operation metav1.ManagedFieldsOperationType) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, Operation: operation}
	}
	c := rendered(t)
	c.ManagedFields = []metav1.ManagedFieldsEntry{
		entry("helm", metav1.ManagedFieldsOperationApply), entry(fieldManager, metav1.ManagedFieldsOperationUpdate),
		entry("node-restriction-plus-certificates", metav1.ManagedFieldsOperationUpdate), entry(fieldManager, metav1.ManagedFieldsOperationUpdate),
	}
	operations := disown(c)
	if len(operations) != 3 || operations[0].Op != "test" ||
		operations[1] != (operation{Op: "remove", Path: "/metadata/managedFields/3"}) ||
		operations[2] != (operation{Op: "remove", Path: "/metadata/managedFields/1"}) {
		t.Errorf("the operations are %v", operations)
	}
	c.ManagedFields = c.ManagedFields[:1]
	if operations := disown(c); operations != nil {
		t.Errorf("of an object without an entry, the operations are %v", operations)
	}
}

func TestAdopt(t *testing.T) {
	k := &Keeper{floorName: "nrp.policies"}
	compare := func(c *admissionregistrationv1.ValidatingWebhookConfiguration) []wiring.Difference {
		installed, err := wiring.Decode[wiring.Installed](c.Annotations)
		if err != nil {
			t.Fatal(err)
		}
		k.AdoptWebhooks(c, installed.Webhooks)
		return wiring.CompareWebhooks(installed.Webhooks, c.Webhooks)
	}
	written := asPatched(t, rendered(t), mustPatch(t, rendered(t), wanted))
	if found := compare(written); len(found) != 1 {
		t.Errorf("before the policies are known, there are %v", found)
	}
	k.current.Store(&conditions.Composed{Webhooks: wanted})
	for name, c := range map[string]*admissionregistrationv1.ValidatingWebhookConfiguration{
		"as the chart rendered it": rendered(t), "as the program wrote it": written,
	} {
		if found := compare(c); len(found) > 0 {
			t.Errorf("%s: %v", name, found)
		}
	}
	bent := written.DeepCopy()
	bent.Webhooks[1].MatchConditions[1].Expression = "false"
	if found := compare(bent); len(found) != 1 || !found[0].Weaker || found[0].Part != "gate" {
		t.Errorf("of a changed condition, there are %v", found)
	}
	other := asPatched(t, rendered(t), mustPatch(t, rendered(t), conditions.Webhooks{gate: lineIs("other.gate"), status: lineIs("chart.status")}))
	if found := compare(other); len(found) != 1 {
		t.Errorf("of other policies, there are %v", found)
	}
	other.Annotations[writtenAnnotation] = strings.Replace(other.Annotations[writtenAnnotation], `"version":"`+program.Version(), `"version":"v9`, 1)
	if found := compare(other); len(found) > 0 {
		t.Errorf("of another version of the program, there are %v", found)
	}
}

func mustPatch(t *testing.T, c *admissionregistrationv1.ValidatingWebhookConfiguration, want conditions.Webhooks) []operation {
	t.Helper()
	operations, err := patchConditions(c, want)
	if err != nil {
		t.Fatal(err)
	}
	return operations
}
