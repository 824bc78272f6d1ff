// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/metrics"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/crosscheck"
	"noderestriction.plus/internal/denials"
	"noderestriction.plus/policy"
)

// testDenials shows that each denial has one answer, one record, one entry in the API server's audit log and one count, at the full
// speed of the API server.
func (s *environment) testDenials(t *testing.T) {
	const clients, total = 16, 5000
	s.denyFinalizers(t, "denials", "loader-*")
	first, err := s.product.Records.Len()
	suite.Check(t, err)
	before := s.counts(t)

	var started atomic.Int64
	var wrong sync.Map // unexpected answers
	var group sync.WaitGroup
	for i := range clients {
		node := fmt.Sprintf("loader-%d", i)
		s.CreateNode(t, node)
		kubelet := suite.Kubelet(t, s.ControlPlane.APIServer, node)
		want := fmt.Sprintf("node %q violates NodeRestrictionPolicy \"denials\": node finalizers (must not add %q)",
			node, "example.com/stay")
		group.Go(func() {
			for started.Add(1) <= total {
				a := kubelet.Do(t.Context(), suite.AddFinalizer(node))
				if _, message := a.DeniedBy(); a.Outcome != suite.Denied || message != want {
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
	suite.Check(t, err)
	checkGapless(t, records, total)
	s.checkAuditLog(t, records)
	after := s.counts(t)
	for name, count := range after {
		if got := count - before[name]; got != total {
			t.Errorf("%s counts %g denials, want %d", name, got, total)
		}
	}
	s.awaitStatus(t, "denials", total)
}

// awaitStatus waits until the status of a policy has this number of denials.
func (s *environment) awaitStatus(t *testing.T, name string, want int64) {
	t.Helper()
	s.awaitViolations(t, name, want, func(v *v1alpha1.Violations) *v1alpha1.ViolationCount { return v.Denied })
}

// awaitViolations waits until one of the counts in the status of a policy is what is wanted.
func (s *environment) awaitViolations(t *testing.T, name string, want int64, of func(*v1alpha1.Violations) *v1alpha1.ViolationCount) {
	t.Helper()
	suite.Eventually(t, 30*time.Second, func() error {
		p := &v1alpha1.NodeRestrictionPolicy{}
		if err := s.Policies.Get(t.Context(), client.ObjectKey{Name: name}, p); err != nil {
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
func (s *environment) testAuditedAndWarned(t *testing.T) {
	const node, writes = "counted-1", 12
	for name, action := range map[string]v1alpha1.ValidationAction{"counted-audit": v1alpha1.Audit, "counted-warn": v1alpha1.Warn} {
		p := product.DenyFinalizers(name, node)
		p.Spec.ValidationActions = []v1alpha1.ValidationAction{action}
		suite.Check(t, product.Enforce(t.Context(), s.Policies, p))
		t.Cleanup(func() {
			suite.Check(t, client.IgnoreNotFound(s.Policies.Delete(context.WithoutCancel(t.Context()), p)))
		})
	}
	s.CreateNode(t, node)
	kubelet := suite.Kubelet(t, s.ControlPlane.APIServer, node)
	// recorded sends writes, each with another finalizer, and returns how many records they have, all with the same outcome. An API server
	// that has an old version of the Node in its cache asks twice about a write.
	recorded := func(prefix string, outcome policy.Outcome) int64 {
		first, err := s.product.Records.Len()
		suite.Check(t, err)
		for i := range writes {
			kubelet.MustSend(t, suite.PatchNodeStatus(node, fmt.Sprintf(`{"metadata":{"finalizers":["example.com/%s%d"]}}`, prefix, i)))
		}
		records, err := s.product.Records.Since(first)
		suite.Check(t, err)
		if len(records) < writes || len(records) > 2*writes {
			t.Errorf("%d records, want %d", len(records), writes)
		}
		for _, record := range records {
			if record.Msg != outcome || record.Node != node {
				t.Errorf("unexpected record %s", record.Text)
			}
		}
		return int64(len(records))
	}
	audited := func(v *v1alpha1.Violations) *v1alpha1.ViolationCount { return v.Audited }
	total := recorded("f", policy.Warned)
	s.awaitViolations(t, "counted-audit", total, audited)
	s.awaitViolations(t, "counted-warn", total, func(v *v1alpha1.Violations) *v1alpha1.ViolationCount { return v.Warned })
	s.awaitEvaluated(t, "counted-audit", "UPDATE nodes/status", total)

	// Without the other policy, the difference of status.violations.audited is the number of records with the outcome audited.
	suite.Check(t, product.Retire(t.Context(), s.Policies, "counted-warn"))
	s.awaitViolations(t, "counted-audit", total+recorded("g", policy.Audited), audited)
}

// awaitEvaluated waits until the status of a policy says that it has evaluated writes of a kind, at most limit, and only since it has
// been in force. A replica reports the first write of a kind immediately, and later ones after five minutes.
func (s *environment) awaitEvaluated(t *testing.T, name, kind string, limit int64) {
	t.Helper()
	suite.Eventually(t, 30*time.Second, func() error {
		p := &v1alpha1.NodeRestrictionPolicy{}
		if err := s.Policies.Get(t.Context(), client.ObjectKey{Name: name}, p); err != nil {
			return err
		}
		switch {
		case p.Status == nil || p.Status.Since == nil || p.Status.Evaluated == nil:
			return fmt.Errorf("the status does not say since when, or what was evaluated: %+v", p.Status)
		case p.Status.Evaluated.Generation != p.Generation || p.Status.Since.Before(&p.CreationTimestamp):
			return fmt.Errorf("the status is of another generation: %+v", p.Status)
		}
		for _, w := range p.Status.Evaluated.Writes {
			if w.Write == kind && w.Count >= 1 && w.Count <= limit && !w.LastTime.Before(p.Status.Since) {
				return nil
			}
		}
		return fmt.Errorf("want up to %d writes %s, the status has %+v", limit, kind, p.Status.Evaluated)
	})
}

// testBothLogs shows that kubectl nrp denials finds each record in the audit log of an API server, and names the one that is removed.
func (s *pair) testBothLogs(t *testing.T) {
	verify := func(path string) (report crosscheck.Report, err error) {
		var out bytes.Buffer
		root := command.Plugin(command.ByKubectl, denials.Command())
		root.SetOut(&out)
		root.SetErr(t.Output())
		root.SetArgs([]string{
			"denials", "--verify", "--partial", "-o", "json", "--audit-log", s.ControlPlane.AuditLog, "--audit-log", s.open.AuditLog, path,
		})
		err = root.ExecuteContext(t.Context())
		found := struct{ AuditLog *crosscheck.Report }{&report}
		return report, errors.Join(err, json.Unmarshal(out.Bytes(), &found))
	}
	suite.Eventually(t, 30*time.Second, func() error {
		report, err := verify(s.product.Records.Path())
		// The first records are of writes that precede the first event, which is one of a kubelet.
		if err == nil && (report.Both < 4000 || report.Both+report.Late+report.Unanswered+report.RecordsOutside != report.Records) {
			err = fmt.Errorf("got %+v", report.Totals)
		}
		return err
	})
	records, err := s.product.Records.Since(0)
	suite.Check(t, err)
	removed := records[len(records)/2]
	log, err := os.ReadFile(s.product.Records.Path())
	suite.Check(t, err)
	path := filepath.Join(t.TempDir(), "denials.log")
	suite.Check(t, os.WriteFile(path, bytes.Replace(log, []byte(removed.Text), nil, 1), 0o600))
	report, err := verify(path)
	if command.ExitCode(err) != command.CodeNo || len(report.MissingRecords) != 1 || report.WithoutEvent != 0 {
		t.Fatalf("%v: got %+v", err, report.Totals)
	}
	if m := report.MissingRecords[0]; m.Boot != removed.Boot || m.Seq != removed.Seq || m.User != "system:node:"+removed.Node {
		t.Errorf("want %s, got %+v", removed.Text, m)
	}
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

// denialIn describes a denial by the audit log alone: who wrote what, and the rule and the policy that denied it.
func denialIn(e *auditEvent) string {
	annotation := func(key string) string { return e.Annotations["gate.noderestriction.plus/"+key] }
	return fmt.Sprintf("%s %s/%s by %s on %s/%s of %s: rule %s of %s", annotation("boot"), annotation("seq"),
		annotation("decision"), e.User.Username, e.ObjectRef.Resource, e.ObjectRef.Subresource, e.ObjectRef.Name,
		annotation("rule"), annotation("policy"))
}

// checkAuditLog checks that the audit log of the API server has each denial, and no other.
func (s *environment) checkAuditLog(t *testing.T, records []product.Line) {
	t.Helper()
	want := map[string]bool{}
	for _, l := range records {
		// All these writes have the same values for what a compact record leaves out.
		want[fmt.Sprintf("%s %d/denied by system:node:%s on nodes/status of %s: rule node-finalizers of denials",
			l.Boot, l.Seq, l.Node, l.Node)] = true
	}
	suite.Eventually(t, 10*time.Second, func() error {
		events, err := auditEvents(s.ControlPlane.AuditLog)
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
			return fmt.Errorf("the audit log has %d denials, want %d", len(got), len(want))
		}
		return nil
	})
}

// denyFinalizers enforces a policy for these nodes until the end of the test.
func (s *environment) denyFinalizers(t *testing.T, name string, nodes v1alpha1.Pattern) {
	t.Helper()
	p := product.DenyFinalizers(name, nodes)
	suite.Check(t, product.Enforce(t.Context(), s.Policies, p))
	t.Cleanup(func() { suite.Check(t, s.Policies.Delete(context.WithoutCancel(t.Context()), p)) })
}

// checkGapless checks the number of records, that each has another request, and that their sequence numbers have no gap.
func checkGapless(t *testing.T, records []product.Line, want int) {
	t.Helper()
	if len(records) == 0 {
		t.Fatalf("no records, want %d", want)
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

// counts returns how many denials the product and the API server count.
func (s *environment) counts(t *testing.T) map[string]float64 {
	t.Helper()
	config, err := s.ControlPlane.Admin()
	suite.Check(t, err)
	admin, err := kubernetes.NewForConfig(config)
	suite.Check(t, err)
	ours, err := s.product.Metrics(t.Context())
	suite.Check(t, err)
	theirs, err := metrics.FromAPIServer(suite.Within(t, 10*time.Second), admin)
	suite.Check(t, err)
	const (
		denials    = "node_restriction_plus_denials_total"
		rejections = "apiserver_admission_webhook_rejection_count"
	)
	return map[string]float64{
		denials:    ours.Sum(denials),
		rejections: theirs.Sum(rejections, "error_type", "no_error", "rejection_code", "403"),
	}
}
