// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denial

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/stockwrites"
	"noderestriction.plus/policy"
)

// openAPI is what a schema of the CRD bounds.
type openAPI struct {
	Type                                     string
	Format                                   string
	Properties                               map[string]openAPI
	Items                                    *openAPI
	Required                                 []string
	MinLength, MaxLength, MinItems, MaxItems *int
	Minimum                                  *float64
}

// statusSchema is the schema of a field of the status.
func statusSchema(t *testing.T, field string) openAPI {
	t.Helper()
	data, err := os.ReadFile("../../config/crd/noderestriction.plus_noderestrictionpolicies.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct{ OpenAPIV3Schema openAPI }
			}
		}
	}
	if err := yaml.Unmarshal(data, &crd); err != nil {
		t.Fatal(err)
	}
	found, ok := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["status"].Properties[field]
	if !ok {
		t.Fatalf("the schema has no status.%s", field)
	}
	return found
}

// errors says where a value is not what the schema wants.
func (s *openAPI) errors(at string, value any) (all []string) {
	wrong := func(is bool, what string) {
		if is {
			all = append(all, at+": "+what)
		}
	}
	switch v := value.(type) {
	case map[string]any:
		wrong(s.Type != "object", "must not be an object")
		for _, name := range s.Required {
			_, ok := v[name]
			wrong(!ok, "misses "+name)
		}
		for name, member := range v {
			property, ok := s.Properties[name]
			wrong(!ok, "does not know "+name)
			all = append(all, property.errors(at+"."+name, member)...)
		}
	case []any:
		wrong(s.Type != "array" || s.MaxItems != nil && len(v) > *s.MaxItems, "too many items")
		for i, item := range v {
			all = append(all, s.Items.errors(fmt.Sprintf("%s[%d]", at, i), item)...)
		}
	case string:
		n := utf8.RuneCountInString(v)
		wrong(s.Type != "string" || s.MinLength != nil && n < *s.MinLength || s.MaxLength != nil && n > *s.MaxLength,
			fmt.Sprintf("has %d characters", n))
		if s.Format == "date-time" {
			_, err := time.Parse(time.RFC3339, v)
			wrong(err != nil, "is no time")
		}
	case float64:
		wrong(s.Type != "integer" || s.Minimum != nil && v < *s.Minimum, fmt.Sprint("is ", v))
	}
	return all
}

func TestWhateverIsWrittenTheStatusTakesIt(t *testing.T) {
	bounds := statusSchema(t, "violations")
	texts := []string{"", "a", "...", "\x00", "\xff", strings.Repeat("x", 10_000), strings.Repeat("<", 300), strings.Repeat("世", 300)}
	var sum *v1alpha1.Violations
	for _, node := range texts {
		for _, text := range texts {
			for _, rule := range texts {
				rec := record.New(record.Origin{UID: text}, &policy.Request{
					NodeName: node, Write: policy.Write{
						Operation: "UPDATE", Resource: text, Subresource: text, Namespace: text, Name: text,
					},
				}, policy.Decision{Violations: []policy.PolicyViolation{{Policy: "p", Rule: policy.RuleID(rule), Action: v1alpha1.Deny}}})
				rec.Time = record.Time(time.Now())
				sum = tallies{v1alpha1.Deny: tallyOf(&rec, policy.RuleID(rule)), v1alpha1.Audit: tallyOf(&rec, policy.RuleID(rule))}.addedTo(sum)
				data, err := json.Marshal(sum)
				if err != nil {
					t.Fatal(err)
				}
				var value any
				if err := json.Unmarshal(data, &value); err != nil {
					t.Fatal(err)
				}
				if wrong := bounds.errors("violations", value); len(wrong) > 0 {
					t.Fatalf("%.20q, %.20q, %.20q: %v", node, text, rule, wrong)
				}
			}
		}
	}
}

func TestTheStatusTakesEveryKindOfWrite(t *testing.T) {
	bounds := statusSchema(t, "evaluated")
	e := evaluated{policy: "a", generation: 1}
	for _, w := range stockwrites.All() {
		e.writes = append(e.writes, v1alpha1.EvaluatedWrites{Write: w.String(), Count: 1, LastTime: metav1.Now()})
	}
	data, err := json.Marshal(e.addedTo(nil, time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		t.Fatal(err)
	}
	if wrong := bounds.errors("evaluated", value); len(wrong) > 0 {
		t.Error(wrong)
	}
}

func TestAStatusThatCannotBeWrittenStopsNoOther(t *testing.T) {
	invalid := apierrors.NewInvalid(schema.GroupKind{}, "a", nil)
	var tries []string
	s := newStatus(func(ctx context.Context, name string, t tallies) error {
		tries = append(tries, fmt.Sprint(name, " ", len(t[v1alpha1.Deny].recent)))
		switch name {
		case "a":
			return invalid
		case "b":
			<-ctx.Done() // the API server does not answer
			return ctx.Err()
		}
		return nil
	}, logr.Discard())
	for _, name := range []string{"a", "b", "c"} {
		observe(s, func(rec *record.Record) { rec.Decision.Violations[0].Policy = name })
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	s.flush(ctx)
	if want := []string{"a 1", "a 0", "b 1", "c 1"}; !slices.Equal(tries, want) {
		t.Errorf("tried %q, want %q", tries, want)
	}
	if len(s.tallies) != 1 || s.tallies["b"][v1alpha1.Deny].total != 1 {
		t.Errorf("%v is kept for a retry, want only b", s.tallies)
	}
}
