// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/metrics"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/policy"
)

// addsFinalizer is a write that the policies of these tests deny.
const addsFinalizer = `{"metadata":{"finalizers":["example.com/stay"]}}`

// testDenials shows that for each denial there is one answer, one record, one entry in the API server's audit log and
// one count, at the full speed of the API server.
func (s *suite) testDenials(t *testing.T) {
	const clients, total = 16, 5000
	s.denyFinalizers(t, "denials", "loader-*")
	first, err := s.product.Records.Len()
	check(t, err)
	before := s.counts(t)

	var started atomic.Int64
	var wrong sync.Map // unexpected answers
	var group sync.WaitGroup
	for i := range clients {
		node := fmt.Sprintf("loader-%d", i)
		s.createNode(t, node)
		config, err := s.stock.Kubelet(node)
		kubelet := newCaller(t, config, err)
		want := fmt.Sprintf("node %q violates NodeRestrictionPolicy \"denials\": node finalizers (must not add %q)",
			node, "example.com/stay")
		group.Go(func() {
			for started.Add(1) <= total {
				a, err := kubelet.do(t.Context(), patchStatus(node, addsFinalizer))
				if err != nil {
					wrong.Store(err.Error(), true)
				} else if _, message := a.deniedBy(); a.code != http.StatusForbidden || message != want {
					wrong.Store(a.String(), true)
				}
			}
		})
	}
	group.Wait()
	wrong.Range(func(answer, _ any) bool {
		t.Errorf("want every write denied, got %v", answer)
		return true
	})
	records, err := s.product.Records.Since(first)
	check(t, err)
	checkLedger(t, records, total)
	s.checkAuditLog(t, records)
	after := s.counts(t)
	for name, count := range after {
		if got := count - before[name]; got != total {
			t.Errorf("%s counts %g denials, want %d", name, got, total)
		}
	}
	s.awaitStatus(t, "denials", total)
}

// awaitStatus waits until the status of a policy says how often it has denied.
func (s *suite) awaitStatus(t *testing.T, name string, want int64) {
	t.Helper()
	s.awaitViolations(t, name, want, func(v *v1alpha1.Violations) *v1alpha1.ViolationCount { return v.Denied })
}

// awaitViolations waits until one of the counts in the status of a policy is what is wanted.
func (s *suite) awaitViolations(t *testing.T, name string, want int64, of func(*v1alpha1.Violations) *v1alpha1.ViolationCount) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		p := &v1alpha1.NodeRestrictionPolicy{}
		if err := s.policies.Get(t.Context(), client.ObjectKey{Name: name}, p); err != nil {
			return err
		}
		if p.Status == nil || p.Status.Violations == nil {
			return fmt.Errorf("the status has no violations: %+v", p.Status)
		}
		if count := of(p.Status.Violations); count == nil || count.Total != want || int64(len(count.Recent)) == 0 {
			return fmt.Errorf("want %d in the status, it is %+v", want, p.Status.Violations)
		}
		return nil
	})
}

// testAuditedAndWarned shows that writes which are let through are counted in the status as they are recorded (invariant L).
func (s *suite) testAuditedAndWarned(t *testing.T) {
	const node, writes = "counted-1", 12
	for name, action := range map[string]v1alpha1.ValidationAction{"counted-audit": v1alpha1.Audit, "counted-warn": v1alpha1.Warn} {
		p := &v1alpha1.NodeRestrictionPolicy{}
		p.Name = name
		p.Spec.ValidationActions = []v1alpha1.ValidationAction{action}
		p.Spec.Match = &v1alpha1.Match{NodeNames: []v1alpha1.Pattern{node}}
		p.Spec.Nodes.Finalizers = &v1alpha1.NodeFinalizers{}
		check(t, product.Enforce(t.Context(), s.policies, p))
		t.Cleanup(func() { check(t, s.policies.Delete(context.WithoutCancel(t.Context()), p)) })
	}
	s.createNode(t, node)
	config, err := s.stock.Kubelet(node)
	kubelet := newCaller(t, config, err)
	first, err := s.product.Records.Len()
	check(t, err)
	for i := range writes {
		a, err := kubelet.do(t.Context(), patchStatus(node, fmt.Sprintf(`{"metadata":{"finalizers":["example.com/f%d"]}}`, i)))
		check(t, err)
		if a.code != http.StatusOK {
			t.Errorf("want the write to pass, got %s", a)
		}
	}
	records, err := s.product.Records.Since(first)
	check(t, err)
	if len(records) != writes {
		t.Errorf("%d records, want %d", len(records), writes)
	}
	for _, record := range records {
		if record.Msg != policy.Warned || record.Node != node {
			t.Errorf("unexpected record %s", record.Text)
		}
	}
	s.awaitViolations(t, "counted-audit", writes, func(v *v1alpha1.Violations) *v1alpha1.ViolationCount { return v.Audited })
	s.awaitViolations(t, "counted-warn", writes, func(v *v1alpha1.Violations) *v1alpha1.ViolationCount { return v.Warned })
}

// auditEvent is what a denial leaves in the audit log of an API server.
type auditEvent struct {
	User        struct{ Username string }
	Verb        string
	ObjectRef   struct{ Resource, Subresource, Namespace, Name string }
	Annotations map[string]string
}

func auditEvents(path string) ([]auditEvent, error) {
	log, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var events []auditEvent
	for line := range bytes.Lines(log) {
		var e auditEvent
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, err // the last line may be half written
		}
		events = append(events, e)
	}
	return events, nil
}

// denialIn is a denial as the audit log alone tells it: who wrote what, and which rule of which policy denied it.
func denialIn(e *auditEvent) string {
	annotation := func(key string) string { return e.Annotations["gate.noderestriction.plus/"+key] }
	return fmt.Sprintf("%s %s/%s by %s on %s/%s of %s: rule %s of %s", annotation("boot"), annotation("seq"),
		annotation("decision"), e.User.Username, e.ObjectRef.Resource, e.ObjectRef.Subresource, e.ObjectRef.Name,
		annotation("rule"), annotation("policy"))
}

// checkAuditLog checks that each denial can be told from the audit log of the API server alone, and no other.
func (s *suite) checkAuditLog(t *testing.T, records []product.Line) {
	t.Helper()
	want := map[string]bool{}
	for _, l := range records {
		// What a short line leaves out is the same for all of these writes.
		want[fmt.Sprintf("%s %d/denied by system:node:%s on nodes/status of %s: rule node-finalizers of denials",
			l.Boot, l.Seq, l.Node, l.Node)] = true
	}
	eventually(t, 10*time.Second, func() error {
		events, err := auditEvents(s.stock.AuditLog)
		if err != nil {
			return err
		}
		got := map[string]bool{}
		for i := range events {
			if strings.HasPrefix(events[i].User.Username, "system:node:loader-") {
				got[denialIn(&events[i])] = true
			}
		}
		if !maps.Equal(got, want) {
			return fmt.Errorf("the audit log tells of %d denials, want %d", len(got), len(want))
		}
		return nil
	})
}

// denyFinalizers enforces a policy for these nodes until the end of the test.
func (s *suite) denyFinalizers(t *testing.T, name string, nodes v1alpha1.Pattern) {
	t.Helper()
	p := &v1alpha1.NodeRestrictionPolicy{}
	p.Name = name
	p.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
	p.Spec.Match = &v1alpha1.Match{NodeNames: []v1alpha1.Pattern{nodes}}
	p.Spec.Nodes.Finalizers = &v1alpha1.NodeFinalizers{}
	check(t, product.Enforce(t.Context(), s.policies, p))
	t.Cleanup(func() { check(t, s.policies.Delete(context.WithoutCancel(t.Context()), p)) })
}

func (s *suite) createNode(t *testing.T, name string) {
	t.Helper()
	_, err := s.admin.CoreV1().Nodes().Create(t.Context(),
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	check(t, err)
}

func (s *suite) getNode(t *testing.T, name string) *corev1.Node {
	t.Helper()
	node, err := s.admin.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
	check(t, err)
	return node
}

func patchStatus(node, patch string) call {
	return call{
		method: http.MethodPatch, path: "/api/v1/nodes/" + node + "/status", contentType: mediaMergePatch,
		body: []byte(patch),
	}
}

// checkLedger checks that there are so many records, of as many requests, and that their numbers have no gap.
func checkLedger(t *testing.T, records []product.Line, want int) {
	t.Helper()
	if len(records) == 0 {
		t.Fatalf("there is no record, want %d", want)
	}
	uids := map[string]bool{}
	var numbers []uint64
	for _, l := range records {
		uids[l.UID] = true
		numbers = append(numbers, l.Seq)
		if !strings.HasPrefix(l.Node, "loader-") || l.Boot != records[0].Boot {
			t.Errorf("unexpected record %s", l.Text)
		}
	}
	slices.Sort(numbers)
	if len(records) != want || len(uids) != want || numbers[want-1]-numbers[0] != uint64(want-1) {
		t.Errorf("%d records of %d requests, numbered %d to %d; want %d", len(records), len(uids), numbers[0],
			numbers[len(numbers)-1], want)
	}
}

// counts is how many denials the product counts, and how many the API server.
func (s *suite) counts(t *testing.T) map[string]float64 {
	t.Helper()
	config, err := s.stock.Admin()
	check(t, err)
	admin, err := kubernetes.NewForConfig(config)
	check(t, err)
	ours, err := s.product.Metrics(t.Context())
	check(t, err)
	theirs, err := metrics.FromAPIServer(within(t, 10*time.Second), admin)
	check(t, err)
	const (
		denials    = "node_restriction_plus_denials_total"
		rejections = "apiserver_admission_webhook_rejection_count"
	)
	return map[string]float64{
		denials:    ours.Sum(denials),
		rejections: theirs.Sum(rejections, "error_type", "no_error", "rejection_code", "403"),
	}
}
