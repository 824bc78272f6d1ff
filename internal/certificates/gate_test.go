// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"strings"
	"testing"
	"time"
)

const day = 24 * time.Hour

func TestGateServesTheFirstCertificateImmediately(t *testing.T) {
	t.Parallel()
	a := newTestCA(t, epoch, epoch.Add(365*day))
	first := a.leaf(epoch, epoch.Add(30*day))
	g := &gate{}
	g.offer(nil, false, epoch)
	if g.served != nil {
		t.Error("something is served before there is a certificate")
	}
	g.offer(first, false, epoch)
	if g.served != first {
		t.Error("the first certificate is not served")
	}
}

func TestGateServesACertificateFromTheSameCAImmediately(t *testing.T) {
	t.Parallel()
	a := newTestCA(t, epoch, epoch.Add(365*day))
	g := &gate{}
	g.offer(a.leaf(epoch, epoch.Add(30*day)), true, epoch)
	renewed := a.leaf(epoch.Add(20*day), epoch.Add(50*day))
	g.offer(renewed, true, epoch.Add(20*day))
	if g.served != renewed {
		t.Error("the renewed certificate is not served")
	}
}

// TestGateHoldsACertificateFromAnotherCA offers the new certificate at several times, with its CA in the bundles or not, and
// checks what is served then.
func TestGateHoldsACertificateFromAnotherCA(t *testing.T) {
	t.Parallel()
	type moment struct {
		after   time.Duration
		trusted bool
	}
	for _, test := range []struct {
		name    string
		age     time.Duration // of the new CA
		left    time.Duration // until the old certificate expires
		moments []moment
		opens   bool
	}{
		{"not while the bundle lacks it", day, 10 * day, []moment{{0, false}, {day, false}}, false},
		{"not at the moment at which it is in the bundle", day, 10 * day, []moment{{0, true}}, false},
		{"not before API servers know it", day, 10 * day, []moment{{0, true}, {settle - 1, true}}, false},
		{"once API servers know it", day, 10 * day, []moment{{0, true}, {settle, true}}, true},
		{
			"not if it was taken out of the bundle meanwhile", day, 10 * day,
			[]moment{{0, true}, {settle - 1, false}, {settle, true}},
			false,
		},
		{
			"not before it is valid by clocks that are behind", 0, 10 * day,
			[]moment{{0, true}, {settle, true}, {clockSkew - 1, true}},
			false,
		},
		{"once it is old enough", 0, 10 * day, []moment{{0, true}, {clockSkew, true}}, true},
		{"earlier if the old one expires within that time", 0, clockSkew / 2, []moment{{0, true}, {settle, true}}, true},
		{"not earlier if the bundle lacks it", 0, clockSkew / 2, []moment{{0, false}, {settle, false}}, false},
		{"regardless of the bundle if the old one is about to expire", 0, lastMoment - 1, []moment{{0, false}}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			old := newTestCA(t, epoch.Add(-300*day), epoch.Add(65*day))
			fresh := newTestCA(t, epoch.Add(-test.age), epoch.Add(365*day))
			before, after := old.leaf(epoch, epoch.Add(test.left)), fresh.leaf(epoch, epoch.Add(30*day))
			g := &gate{}
			g.offer(before, true, epoch.Add(-day))
			for _, m := range test.moments {
				g.offer(after, m.trusted, epoch.Add(m.after))
			}
			want := before
			if test.opens {
				want = after
			}
			if g.served != want {
				t.Errorf("the new certificate is served: %v", !test.opens)
			}
		})
	}
}

func TestGateForgetsACAThatWasReplacedBeforeItWasUsed(t *testing.T) {
	t.Parallel()
	old := newTestCA(t, epoch.Add(-300*day), epoch.Add(65*day))
	first, second := newTestCA(t, epoch.Add(-day), epoch.Add(day)), newTestCA(t, epoch.Add(-day), epoch.Add(day))
	g := &gate{}
	served := old.leaf(epoch, epoch.Add(30*day))
	g.offer(served, true, epoch)
	g.offer(first.leaf(epoch, epoch.Add(day)), true, epoch)
	next := second.leaf(epoch, epoch.Add(day))
	g.offer(next, true, epoch.Add(settle))
	if g.served != served {
		t.Error("the time for which the first was in the bundle counts for the second")
	}
	g.offer(next, true, epoch.Add(2*settle))
	if g.served != next {
		t.Error("the second is not served")
	}
}

func TestGateReportsWhenAPIServersMayRefuse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		age     time.Duration
		now     time.Duration
		trusted bool
		want    string
	}{
		{name: "a new CA that has just been added to the bundle", trusted: true, want: "may not know"},
		{name: "a new CA a while later", now: settle, trusted: true},
		{name: "a CA that is older than that", age: settle, trusted: true},
		{name: "a CA that is not in the bundle", age: day, want: "does not have"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newTestCA(t, epoch.Add(-test.age), epoch.Add(365*day))
			g := &gate{}
			g.offer(a.leaf(epoch, epoch.Add(30*day)), test.trusted, epoch)
			err := g.check(test.trusted, epoch.Add(test.now))
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	t.Run("a held certificate changes nothing about the one that is served", func(t *testing.T) {
		old := newTestCA(t, epoch.Add(-300*day), epoch.Add(65*day))
		fresh := newTestCA(t, epoch, epoch.Add(365*day))
		g := &gate{}
		g.offer(old.leaf(epoch, epoch.Add(30*day)), true, epoch)
		g.offer(fresh.leaf(epoch, epoch.Add(30*day)), false, epoch)
		if err := g.check(true, epoch); err != nil {
			t.Error(err)
		}
	})
}
