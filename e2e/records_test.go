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
	"net/url"
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
	"noderestriction.plus/internal/record"
	"noderestriction.plus/policy"
)

// TestRecords shows that no denial is without a record, and that a lost record is known to be lost, whatever happens to the
// product or to the reader of its records.
func TestRecords(t *testing.T) {
	t.Parallel()
	s := newSuite(t)
	s.startControlPlane(t, controlplane.APIServerOptions{})
	s.administer(t, s.stock.APIServer)
	s.startProduct(t, s.stock.APIServer)
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

// offender is a kubelet that puts a finalizer on its Node, and a policy that forbids it, for the time of the test.
func (s *suite) offender(t *testing.T, node string) caller {
	t.Helper()
	s.denyFinalizers(t, node, v1alpha1.Pattern(node))
	s.createNode(t, node)
	config, err := s.stock.Kubelet(node)
	return newCaller(t, config, err)
}

// offend makes the forbidden write and returns the answer, which must be a denial of ours.
func (c caller) offend(t *testing.T, node string) *answer {
	t.Helper()
	a, err := c.do(t.Context(), patchStatus(node, addsFinalizer))
	check(t, err)
	if _, message := a.deniedBy(); a.code != http.StatusForbidden || message == "" {
		t.Errorf("want a denial, got %s", a)
	}
	return a
}

func (s *suite) testTwoPolicies(t *testing.T) {
	const node = "records-two"
	kubelet := s.offender(t, node)
	s.denyFinalizers(t, "records-two-more", node)
	first, err := s.product.Records.Len()
	check(t, err)
	before := s.counts(t)
	a := kubelet.offend(t, node)
	for _, name := range []string{node, "records-two-more"} {
		if !strings.Contains(a.Message, fmt.Sprintf("NodeRestrictionPolicy %q", name)) {
			t.Errorf("the answer does not name policy %q: %s", name, a)
		}
		s.awaitStatus(t, name, 1)
	}
	records, err := s.product.Records.Since(first)
	check(t, err)
	if len(records) != 1 || len(records[0].Violations) != 2 {
		t.Errorf("want one record of two violations, got %v", records)
	}
	for name, count := range s.counts(t) {
		if got := count - before[name]; got != 1 {
			t.Errorf("%s counts %g denials, want 1", name, got)
		}
	}
}

func (s *suite) testDryRun(t *testing.T) {
	const node = "records-dry"
	kubelet := s.offender(t, node)
	first, err := s.product.Records.Len()
	check(t, err)
	dry := patchStatus(node, addsFinalizer)
	dry.query = url.Values{"dryRun": {"All"}}
	a, err := kubelet.do(t.Context(), dry)
	check(t, err)
	if a.code != http.StatusForbidden {
		t.Errorf("got %s", a)
	}
	records, err := s.product.Records.Since(first)
	check(t, err)
	if len(records) != 1 || !records[0].DryRun {
		t.Errorf("want one record of a dry run, got %v", records)
	}
	// The next denial is the first that counts.
	kubelet.offend(t, node)
	s.awaitStatus(t, node, 1)
}

// testRetries is one kubelet that tries again and again: each denial has its line, most of them short.
func (s *suite) testRetries(t *testing.T) {
	const node, writes = "records-retries", 300
	kubelet := s.offender(t, node)
	first, err := s.product.Records.Len()
	check(t, err)
	start := time.Now()
	for range writes {
		kubelet.offend(t, node)
	}
	minutes := int(time.Since(start)/time.Minute) + 1
	records, err := s.product.Records.Since(first)
	check(t, err)
	full, uids := 0, map[string]bool{}
	for _, r := range records {
		uids[r.UID] = true
		if r.Late {
			t.Errorf("a late record: %s", r.Text)
		}
		if len(r.Violations) > 0 {
			full++
		} else if len(r.Text) >= record.MaxCompactLine {
			t.Errorf("a short line of %d bytes: %s", len(r.Text), r.Text)
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
func (s *suite) testEvents(t *testing.T) {
	const node, writes = "records-events", 20
	kubelet := s.offender(t, node)
	for range writes {
		kubelet.offend(t, node)
	}
	check(t, s.product.Stop()) // it writes at the end what it has not written yet
	check(t, s.product.Run(t.Context()))
	check(t, s.product.AwaitCalled(t.Context(), s.stock.APIServer))
	events, err := s.admin.EventsV1().Events(metav1.NamespaceDefault).List(t.Context(), metav1.ListOptions{})
	check(t, err)
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
		t.Errorf("the Events tell of %d denials, want %d", count, writes)
	}
	out, err := s.kubectl.Run(t.Context(), nil, "describe", "nrp", node)
	check(t, err)
	if !strings.Contains(out, "Denied") || !strings.Contains(out, "must not add") {
		t.Errorf("kubectl describe does not show the event: %s", out)
	}
}

// testKilled kills the product in the middle of a flood: every denial that a client saw has its record.
func (s *suite) testKilled(t *testing.T) {
	const node = "records-killed"
	kubelet := s.offender(t, node)
	first, err := s.product.Records.Len()
	check(t, err)
	loaded, endLoad := context.WithCancel(t.Context())
	outcomes := make(chan []outcome)
	go func() { outcomes <- load(loaded, kubelet, node) }()
	eventually(t, 10*time.Second, func() error {
		records, err := s.product.Records.Since(first)
		if err == nil && len(records) < 200 {
			err = fmt.Errorf("%d records", len(records))
		}
		return err
	})
	_ = s.product.Process().Kill() // that it was killed is its error
	endLoad()
	denied := 0
	for _, o := range <-outcomes {
		if o.denied {
			denied++
		}
	}
	records, err := s.product.Records.Since(first)
	check(t, err)
	// A record may be without its answer, for each of the connections, but no answer without its record.
	if len(records) < denied || len(records) > denied+8 {
		t.Errorf("%d records of %d denials", len(records), denied)
	}
	for i, r := range records {
		if r.Boot != records[0].Boot || r.Seq != records[0].Seq+uint64(i) {
			t.Fatalf("record %d has number %d of %s, the first %d of %s", i, r.Seq, r.Boot, records[0].Seq, records[0].Boot)
		}
	}
	check(t, s.product.Run(t.Context()))
	check(t, s.product.AwaitCalled(t.Context(), s.stock.APIServer))
}

// runInto has the product write its records to another file for the time of the test.
func (s *suite) runInto(t *testing.T, stdout string, args ...string) {
	t.Helper()
	check(t, s.product.Stop())
	check(t, s.product.RunInto(t.Context(), stdout, args...))
	t.Cleanup(func() {
		_ = s.product.Stop() // records that were lost are its error
		check(t, s.product.Run(context.WithoutCancel(t.Context())))
		check(t, s.product.AwaitCalled(context.WithoutCancel(t.Context()), s.stock.APIServer))
	})
}

// lostRecords is how many records the product says to have lost.
func (s *suite) lostRecords(t *testing.T) int {
	t.Helper()
	m, err := s.product.Metrics(t.Context())
	check(t, err)
	return int(m.Sum("node_restriction_plus_records_lost_total"))
}

// testUnread is a log that nobody reads until later: writes are denied all the same, and the loss is told.
func (s *suite) testUnread(t *testing.T) {
	const node, most = "records-unread", 1000
	kubelet := s.offender(t, node)
	path := filepath.Join(s.dir, "unread")
	check(t, syscall.Mkfifo(path, 0o600))
	reader, err := os.OpenFile(path, os.O_RDWR, 0) // with both ends open it neither waits nor ends
	check(t, err)
	defer reader.Close()
	s.runInto(t, path)
	denied := 0
	for ; denied < most && s.product.Ready(t.Context()) == nil; denied++ {
		kubelet.offend(t, node)
	}
	if denied == most {
		t.Fatal("the pipe took every record")
	}
	for range 20 {
		kubelet.offend(t, node)
		denied++
	}
	eventually(t, 10*time.Second, func() error {
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
		check(t, json.Unmarshal(lines.Bytes(), &line))
		switch {
		case line.Msg == "lost":
			lost += line.Count
			first, last = line.FirstSeq, line.LastSeq
		case line.Node == node:
			seqs[line.Seq] = true
		default:
			seqs[line.Seq] = true
			denied++ // the write of somebody else, with a record
		}
	}
	if got := s.lostRecords(t); uint64(got) != lost || lost == 0 {
		t.Errorf("the log says that %d records are lost, the metric %d", lost, got)
	}
	for seq := first; seq <= last; seq++ {
		if !seqs[seq] {
			lost--
		}
	}
	if lost != 0 {
		t.Errorf("of the records that are said to be lost, %d are there", lost)
	}
	eventually(t, 10*time.Second, func() error { return s.product.Ready(t.Context()) })
	kubelet.offend(t, node)
}

// testFullDisk is a log on a full disk.
func (s *suite) testFullDisk(t *testing.T) {
	const node, writes = "records-full", 20
	kubelet := s.offender(t, node)
	s.runInto(t, "/dev/full") // every write to it fails as on a full disk
	for range writes {
		kubelet.offend(t, node)
	}
	if lost := s.lostRecords(t); lost < writes {
		t.Errorf("%d records lost, want %d", lost, writes)
	}
	if s.product.Ready(t.Context()) == nil {
		t.Error("the product says that it is ready")
	}
	s.awaitAnnotations(t, node, "record", slices.Repeat([]string{"missing"}, writes))
}

// awaitAnnotations waits until the audit log has these values of our annotation for a kubelet's writes.
func (s *suite) awaitAnnotations(t *testing.T, node, key string, want []string) {
	t.Helper()
	eventually(t, 10*time.Second, func() error {
		events, err := auditEvents(s.stock.AuditLog)
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

// testFile shows that the second copy of the records is one, and that it alone has all of them if the first is lost.
func (s *suite) testFile(t *testing.T) {
	const node, writes = "records-file", 30
	kubelet := s.offender(t, node)
	path := filepath.Join(s.dir, "copy", "denials.log")
	check(t, os.Mkdir(filepath.Dir(path), 0o700))
	s.runInto(t, "/dev/full", "--denial-log-file="+path, "--denial-log-file-max-size=1Mi")
	for range writes {
		kubelet.offend(t, node)
	}
	eventually(t, 10*time.Second, func() error {
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

// testProbe shows that the enforcement probe tells whether the API server asks.
func (s *suite) testProbe(t *testing.T) {
	before := s.counts(t)["node_restriction_plus_denials_total"]
	s.denyFinalizers(t, "records-probe-on", "nobody")
	check(t, s.product.Stop())
	check(t, s.product.Run(t.Context(), "--enforcement-probe", "--enforcement-probe-interval=1s"))
	s.awaitProbe(t, 1)
	s.awaitEnforced(t, "records-probe-on", metav1.ConditionTrue)
	records, err := s.product.Records.Since(0)
	check(t, err)
	if !slices.ContainsFunc(records, func(l product.Line) bool { return l.Msg == record.Probed && l.DryRun }) {
		t.Error("the probe has no record")
	}
	ours, err := s.product.Metrics(t.Context())
	check(t, err)
	if n := ours.Sum("node_restriction_plus_denials_total"); n != 0 {
		t.Errorf("%g denials are counted, %g before", n, before)
	}

	configurations := s.admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	stored, err := configurations.Get(t.Context(), "node-restriction-plus", metav1.GetOptions{})
	check(t, err)
	check(t, configurations.Delete(t.Context(), stored.Name, metav1.DeleteOptions{}))
	s.awaitProbe(t, 0)
	s.denyFinalizers(t, "records-probe-off", "nobody")
	s.awaitEnforced(t, "records-probe-off", metav1.ConditionFalse)
	stored.ResourceVersion, stored.UID = "", ""
	_, err = configurations.Create(t.Context(), stored, metav1.CreateOptions{})
	check(t, err)
	s.awaitProbe(t, 1)
	check(t, s.product.Stop())
	check(t, s.product.Run(t.Context()))
	check(t, s.product.AwaitCalled(t.Context(), s.stock.APIServer))
}

func (s *suite) awaitProbe(t *testing.T, want float64) {
	t.Helper()
	eventually(t, 20*time.Second, func() error {
		m, err := s.product.Metrics(t.Context())
		if err != nil {
			return err
		}
		if got := m.Sum("node_restriction_plus_enforcement_probe_success"); got != want {
			return fmt.Errorf("the probe says %g, want %g", got, want)
		}
		return nil
	})
}

func (s *suite) awaitEnforced(t *testing.T, name string, want metav1.ConditionStatus) {
	t.Helper()
	eventually(t, 20*time.Second, func() error {
		p := &v1alpha1.NodeRestrictionPolicy{}
		if err := s.policies.Get(t.Context(), client.ObjectKey{Name: name}, p); err != nil {
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

// offendAtOnce makes so many forbidden writes from several connections.
func (c caller) offendAtOnce(t *testing.T, node string, writes int) {
	t.Helper()
	const clients = 8
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for range writes / clients {
				c.offend(t, node)
			}
		})
	}
	group.Wait()
}
