// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/policy"
)

// TestRecords shows that every denial has a record, and that a lost record is reported, whatever happens to the product or to the
// reader of its records.
func TestRecords(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t, controlplane.APIServerOptions{})
	s.install(t)
	t.Run("two policies", s.testTwoPolicies)
	t.Run("dry run", s.testDryRun)
	t.Run("retries", s.testRetries)
	t.Run("events", s.testEvents)
	t.Run("killed", s.testKilled)
	t.Run("unread", s.testUnread)
	t.Run("full disk", s.testFullDisk)
	t.Run("file", s.testFile)
	t.Run("probe", s.testProbe)
	t.Run("replicas", s.testReplicas)
}

// offender returns a kubelet whose policy denies finalizers on its Node for the duration of the test.
func (s *environment) offender(t *testing.T, node string) *suite.Client {
	t.Helper()
	s.denyFinalizers(t, node, v1alpha1.Pattern(node))
	s.CreateNode(t, node)
	return suite.Kubelet(t, s.ControlPlane.APIServer, node)
}

// offend sends the forbidden write, which must be denied, and returns the answer.
func offend(t *testing.T, kubelet *suite.Client, node string) suite.Answer {
	t.Helper()
	a := kubelet.Send(t, suite.AddFinalizer(node))
	if a.Outcome != suite.Denied {
		t.Errorf("want a denial, got %s", a)
	}
	return a
}

func (s *environment) testTwoPolicies(t *testing.T) {
	const node = "records-two"
	kubelet := s.offender(t, node)
	s.denyFinalizers(t, "records-two-more", node)
	first, err := s.product.Records.Len()
	suite.Check(t, err)
	before := s.counts(t)
	a := offend(t, kubelet, node)
	for _, name := range []string{node, "records-two-more"} {
		if !strings.Contains(a.Text, fmt.Sprintf("NodeRestrictionPolicy %q", name)) {
			t.Errorf("the answer does not name policy %q: %s", name, a)
		}
		s.awaitStatus(t, name, 1)
	}
	records, err := s.product.Records.Since(first)
	suite.Check(t, err)
	if len(records) != 1 || len(records[0].Violations) != 2 {
		t.Errorf("want one record of two violations, got %v", records)
	}
	for name, count := range s.counts(t) {
		if got := count - before[name]; got != 1 {
			t.Errorf("%s counts %g denials, want 1", name, got)
		}
	}
}

func (s *environment) testDryRun(t *testing.T) {
	const node = "records-dry"
	kubelet := s.offender(t, node)
	first, err := s.product.Records.Len()
	suite.Check(t, err)
	dry := suite.AddFinalizer(node)
	dry.DryRun = true
	a := kubelet.Send(t, dry)
	if a.Code != http.StatusForbidden {
		t.Errorf("got %s", a)
	}
	records, err := s.product.Records.Since(first)
	suite.Check(t, err)
	if len(records) != 1 || !records[0].DryRun {
		t.Errorf("want one record of a dry run, got %v", records)
	}
	// The next denial is the first one that counts.
	offend(t, kubelet, node)
	s.awaitStatus(t, node, 1)
}

// testRetries shows that each denial of a kubelet that keeps retrying has a line, most of them compact.
func (s *environment) testRetries(t *testing.T) {
	const node, writes = "records-retries", 300
	kubelet := s.offender(t, node)
	first, err := s.product.Records.Len()
	suite.Check(t, err)
	start := time.Now()
	for range writes {
		offend(t, kubelet, node)
	}
	minutes := int(time.Since(start)/time.Minute) + 1
	records, err := s.product.Records.Since(first)
	suite.Check(t, err)
	full, uids := 0, map[string]bool{}
	for _, r := range records {
		uids[r.UID] = true
		if r.Late {
			t.Errorf("a late record: %s", r.Text)
		}
		if len(r.Violations) > 0 {
			full++
		} else if len(r.Text) >= record.MaxCompactLine {
			t.Errorf("a compact line of %d bytes: %s", len(r.Text), r.Text)
		}
	}
	if len(records) != writes || len(uids) != writes {
		t.Errorf("%d records of %d requests, want %d", len(records), len(uids), writes)
	}
	if full < 10 || full > 10*(minutes+1) {
		t.Errorf("%d full records within %d minutes, want 10 a minute", full, minutes)
	}
	s.awaitStatus(t, node, writes)
}

// testEvents shows that the Events on a policy count its denials.
func (s *environment) testEvents(t *testing.T) {
	const node, writes = "records-events", 20
	kubelet := s.offender(t, node)
	for range writes {
		offend(t, kubelet, node)
	}
	suite.Check(t, s.product.Stop()) // it writes pending Events when it stops
	suite.Check(t, s.product.Run(t.Context()))
	suite.Check(t, s.product.AwaitCalled(t.Context(), s.ControlPlane.APIServer))
	events, err := s.Admin.EventsV1().Events(metav1.NamespaceDefault).List(t.Context(), metav1.ListOptions{})
	suite.Check(t, err)
	count := int32(0)
	for _, e := range events.Items {
		if e.Regarding.Name != node {
			continue
		}
		if e.Reason != "Denied" || e.Action != "node-finalizers" || e.Type != corev1.EventTypeWarning ||
			!strings.Contains(e.Note, `"records-events": node finalizers (must not add "example.com/stay")`) {
			t.Errorf("got event %+v", e)
		}
		if e.Series == nil {
			count++
		} else {
			count += e.Series.Count
		}
	}
	if count != writes {
		t.Errorf("the Events count %d denials, want %d", count, writes)
	}
	out, err := s.Kubectl.Run(t.Context(), nil, "describe", "nrp", node)
	suite.Check(t, err)
	if !strings.Contains(out, "Denied") || !strings.Contains(out, "must not add") {
		t.Errorf("kubectl describe does not show the event: %s", out)
	}
}

// testKilled kills the product under load: every denial that a client got has a record.
func (s *environment) testKilled(t *testing.T) {
	const node = "records-killed"
	kubelet := s.offender(t, node)
	first, err := s.product.Records.Len()
	suite.Check(t, err)
	loaded, endLoad := context.WithCancel(t.Context())
	answers := make(chan []suite.Answer)
	go func() { answers <- load(loaded, kubelet, node) }()
	suite.Eventually(t, 10*time.Second, func() error {
		records, err := s.product.Records.Since(first)
		if err == nil && len(records) < 200 {
			err = fmt.Errorf("%d records", len(records))
		}
		return err
	})
	_ = s.product.Process().Kill() // the error is that it was killed
	endLoad()
	denied := 0
	for _, a := range <-answers {
		if a.Outcome == suite.Denied {
			denied++
		}
	}
	records, err := s.product.Records.Since(first)
	suite.Check(t, err)
	// On each connection a record may be without its answer, but no answer without its record.
	if len(records) < denied || len(records) > denied+8 {
		t.Errorf("%d records of %d denials", len(records), denied)
	}
	for i, r := range records {
		if r.Boot != records[0].Boot || r.Seq != records[0].Seq+uint64(i) {
			t.Fatalf("record %d has number %d of %s, the first %d of %s", i, r.Seq, r.Boot, records[0].Seq, records[0].Boot)
		}
	}
	suite.Check(t, s.product.Run(t.Context()))
	suite.Check(t, s.product.AwaitCalled(t.Context(), s.ControlPlane.APIServer))
}

// runInto makes the product write its records to another file for the duration of the test.
func (s *environment) runInto(t *testing.T, stdout string, args ...string) {
	t.Helper()
	suite.Check(t, s.product.Stop())
	suite.Check(t, s.product.RunInto(t.Context(), stdout, args...))
	t.Cleanup(func() {
		_ = s.product.Stop() // the error is that records were lost
		suite.Check(t, s.product.Run(context.WithoutCancel(t.Context())))
		suite.Check(t, s.product.AwaitCalled(context.WithoutCancel(t.Context()), s.ControlPlane.APIServer))
	})
}

// lostRecords returns how many records the product reports as lost.
func (s *environment) lostRecords(t *testing.T) int {
	t.Helper()
	m, err := s.product.Metrics(t.Context())
	suite.Check(t, err)
	return int(m.Sum("node_restriction_plus_records_lost_total"))
}

// testUnread shows that while the log is not read, writes are still denied and lost records are reported.
func (s *environment) testUnread(t *testing.T) {
	const node, most = "records-unread", 1000
	kubelet := s.offender(t, node)
	path := filepath.Join(s.Dir, "unread")
	suite.Check(t, syscall.Mkfifo(path, 0o600))
	reader, err := os.OpenFile(path, os.O_RDWR, 0) // with both ends open, it neither blocks nor ends
	suite.Check(t, err)
	defer reader.Close()
	s.runInto(t, path)
	denied := 0
	for ; denied < most && s.product.Ready(t.Context()) == nil; denied++ {
		offend(t, kubelet, node)
	}
	if denied == most {
		t.Fatal("the pipe took every record")
	}
	for range 20 {
		offend(t, kubelet, node)
		denied++
	}
	suite.Eventually(t, 10*time.Second, func() error {
		if lost := s.lostRecords(t); lost < 20 {
			return fmt.Errorf("%d records lost", lost)
		}
		return nil
	})
	lines := bufio.NewScanner(reader)
	seqs, lost, first, last := map[uint64]bool{}, uint64(0), uint64(0), uint64(0)
	for len(seqs)+int(lost) < denied && lines.Scan() {
		var line struct {
			Msg, Node                     string
			Seq, Count, FirstSeq, LastSeq uint64
		}
		suite.Check(t, json.Unmarshal(lines.Bytes(), &line))
		switch {
		case line.Msg == "lost":
			lost += line.Count
			first, last = line.FirstSeq, line.LastSeq
		case line.Node == node:
			seqs[line.Seq] = true
		default:
			seqs[line.Seq] = true
			denied++ // a record of another write
		}
	}
	if got := s.lostRecords(t); uint64(got) != lost || lost == 0 {
		t.Errorf("the log reports %d lost records, the metric %d", lost, got)
	}
	for seq := first; seq <= last; seq++ {
		if !seqs[seq] {
			lost--
		}
	}
	if lost != 0 {
		t.Errorf("%d of the records that are reported as lost exist", lost)
	}
	suite.Eventually(t, 10*time.Second, func() error { return s.product.Ready(t.Context()) })
	offend(t, kubelet, node)
}

// testFullDisk shows that records on a full disk are reported as lost.
func (s *environment) testFullDisk(t *testing.T) {
	const node, writes = "records-full", 20
	kubelet := s.offender(t, node)
	s.runInto(t, "/dev/full") // every write to it fails as on a full disk
	for range writes {
		offend(t, kubelet, node)
	}
	if lost := s.lostRecords(t); lost < writes {
		t.Errorf("%d records lost, want %d", lost, writes)
	}
	if s.product.Ready(t.Context()) == nil {
		t.Error("the product is ready")
	}
	s.awaitAnnotations(t, node, "record", slices.Repeat([]string{"missing"}, writes))
}

// awaitAnnotations waits until the audit log has these values of an annotation of the gate for a kubelet's writes.
func (s *environment) awaitAnnotations(t *testing.T, node, key string, want []string) {
	t.Helper()
	suite.Eventually(t, 10*time.Second, func() error {
		events, err := auditEvents(s.ControlPlane.AuditLog)
		if err != nil {
			return err
		}
		var got []string
		for _, e := range events {
			if value, ok := e.Annotations["gate.noderestriction.plus/"+key]; ok && e.User.Username == "system:node:"+node {
				got = append(got, value)
			}
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("the audit log has %s %q, want %q", key, got, want)
		}
		return nil
	})
}

// testFile shows that the copy of the records in a file is complete when standard output fails.
func (s *environment) testFile(t *testing.T) {
	const node, writes = "records-file", 30
	kubelet := s.offender(t, node)
	path := filepath.Join(s.Dir, "copy", "denials.log")
	suite.Check(t, os.Mkdir(filepath.Dir(path), 0o700))
	s.runInto(t, "/dev/full", "--denial-log-file="+path, "--denial-log-file-max-size=1Mi")
	for range writes {
		offend(t, kubelet, node)
	}
	suite.Eventually(t, 10*time.Second, func() error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		n := 0
		for decoder := json.NewDecoder(f); ; {
			var rec record.Record
			if err := decoder.Decode(&rec); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return err
			}
			if rec.Node == node && rec.Msg == policy.Denied && !rec.Late && len(rec.Violations) == 1 {
				n++
			}
		}
		if n != writes {
			return fmt.Errorf("the file has %d records, want %d", n, writes)
		}
		return nil
	})
}

// testProbe shows that the enforcement probe reports whether the API server calls the webhook.
func (s *environment) testProbe(t *testing.T) {
	before := s.counts(t)["node_restriction_plus_denials_total"]
	s.denyFinalizers(t, "records-probe-on", "nobody")
	suite.Check(t, s.product.Stop())
	suite.Check(t, s.product.Run(t.Context(), "--enforcement-probe", "--enforcement-probe-interval=1s"))
	s.awaitProbe(t, 1)
	s.awaitEnforced(t, "records-probe-on", metav1.ConditionTrue)
	records, err := s.product.Records.Since(0)
	suite.Check(t, err)
	if !slices.ContainsFunc(records, func(l product.Line) bool { return l.Msg == record.Probed && l.DryRun }) {
		t.Error("the probe has no record")
	}
	ours, err := s.product.Metrics(t.Context())
	suite.Check(t, err)
	if n := ours.Sum("node_restriction_plus_denials_total"); n != 0 {
		t.Errorf("%g denials are counted, %g before", n, before)
	}

	configurations := s.Admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	stored, err := configurations.Get(t.Context(), "node-restriction-plus", metav1.GetOptions{})
	suite.Check(t, err)
	suite.Check(t, configurations.Delete(t.Context(), stored.Name, metav1.DeleteOptions{}))
	s.awaitProbe(t, 0)
	s.denyFinalizers(t, "records-probe-off", "nobody")
	s.awaitEnforced(t, "records-probe-off", metav1.ConditionFalse)
	stored.ResourceVersion, stored.UID = "", ""
	_, err = configurations.Create(t.Context(), stored, metav1.CreateOptions{})
	suite.Check(t, err)
	s.awaitProbe(t, 1)
	suite.Check(t, s.product.Stop())
	suite.Check(t, s.product.Run(t.Context()))
	suite.Check(t, s.product.AwaitCalled(t.Context(), s.ControlPlane.APIServer))
}

func (s *environment) awaitProbe(t *testing.T, want float64) {
	t.Helper()
	suite.Eventually(t, 20*time.Second, func() error {
		m, err := s.product.Metrics(t.Context())
		if err != nil {
			return err
		}
		if got := m.Sum("node_restriction_plus_enforcement_probe_success"); got != want {
			return fmt.Errorf("the success of the probe is %g, want %g", got, want)
		}
		return nil
	})
}

func (s *environment) awaitEnforced(t *testing.T, name string, want metav1.ConditionStatus) {
	t.Helper()
	suite.Eventually(t, 20*time.Second, func() error {
		p := &v1alpha1.NodeRestrictionPolicy{}
		if err := s.Policies.Get(t.Context(), client.ObjectKey{Name: name}, p); err != nil {
			return err
		}
		if p.Status != nil {
			for _, c := range p.Status.Conditions {
				if c.Type == "Enforced" && c.Status == want {
					return nil
				}
			}
		}
		return fmt.Errorf("want Enforced=%s, the status is %+v", want, p.Status)
	})
}

// offendConcurrently sends a number of forbidden writes from several connections.
func offendConcurrently(t *testing.T, kubelet *suite.Client, node string, writes int) {
	t.Helper()
	const clients = 8
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for range writes / clients {
				offend(t, kubelet, node)
			}
		})
	}
	group.Wait()
}
