// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

// epoch is the time at which tests begin.
var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func TestMerge(t *testing.T) {
	t.Parallel()
	hour := func(n int) time.Time { return epoch.Add(time.Duration(n) * time.Hour) }
	made := map[string]*testCA{
		"old": newTestCA(t, hour(-50), hour(10)), "current": newTestCA(t, hour(-10), hour(50)),
		"expired": newTestCA(t, hour(-60), hour(0)),
		"1":       newTestCA(t, hour(-9), hour(50)), "2": newTestCA(t, hour(-8), hour(50)),
		"3": newTestCA(t, hour(-7), hour(50)), "4": newTestCA(t, hour(-6), hour(50)),
	}
	named := func(names string) bundle {
		var b bundle
		for _, name := range strings.Fields(names) {
			b = append(b, made[name].cert)
		}
		return b
	}
	for _, test := range []struct{ name, have, needed, want string }{
		{"an empty bundle gets what is needed", "", "current", "current"},
		{"what is needed comes after what is there", "old", "current", "old current"},
		{"what is there is not added again", "current old", "current", "current old"},
		{"what is needed may be two", "", "old current", "old current"},
		{"what is there twice stays once", "old old", "old", "old"},
		{"an expired CA is removed", "expired old", "current", "old current"},
		{"an expired CA is not added", "old", "expired", "old"},
		{"nothing is needed before there is a CA", "old", "", "old"},
		{"four stay", "1 2 3", "4", "1 2 3 4"},
		{"the oldest is removed when there are five", "1 2 3 4", "current", "2 3 4 current"},
		{"the oldest stays if it is needed", "old 1 2 3", "4 old", "old 2 3 4"},
		{"order in the bundle does not matter for age", "4 3 2 1", "current", "4 3 2 current"},
		{"as many are removed as are too many", "old 1 2 3 4", "current", "2 3 4 current"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, want := named(test.have).merge(named(test.needed), epoch), named(test.want)
			if !got.equal(want) {
				t.Errorf("got %d CAs, want %q", len(got), test.want)
			}
			if again := got.merge(named(test.needed), epoch); !again.equal(got) {
				t.Error("merging again changes it")
			}
		})
	}
}

func TestParseBundleSkipsWhatIsNotACertificate(t *testing.T) {
	t.Parallel()
	a, b := newTestCA(t, epoch, epoch.Add(time.Hour)), newTestCA(t, epoch, epoch.Add(time.Hour))
	want := bundle{a.cert, b.cert}
	data := slices.Concat([]byte("# a comment\n"), bundle{a.cert}.encode(),
		[]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), a.secret(t).Data["tls.key"],
		bundle{b.cert}.encode(), []byte("and more"))
	if got := parseBundle(data); !got.equal(want) {
		t.Errorf("got %d certificates", len(got))
	}
	if encoded := want.encode(); !bytes.Equal(parseBundle(encoded).encode(), encoded) {
		t.Error("a bundle is not read as it was written")
	}
	for _, empty := range []string{"", "\n", "x"} {
		if got := parseBundle([]byte(empty)); got != nil {
			t.Errorf("%q: got %d certificates", empty, len(got))
		}
	}
}
