// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog_test

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"noderestriction.plus/internal/recordlog"
)

// readLog reads a log, and returns copies of its records.
func readLog(t testing.TB, lines ...string) (*recordlog.Log, []recordlog.Entry) {
	t.Helper()
	log := recordlog.NewLog()
	var entries []recordlog.Entry
	for _, line := range readLines(t, strings.NewReader(strings.Join(lines, "\n")+"\n")) {
		if entry := log.Add("a.log", &line); entry != nil {
			entries = append(entries, *entry)
		}
	}
	return log, entries
}

// numbered are records in full with some numbers.
func numbered(numbers ...int) []string {
	var lines []string
	for _, n := range numbers {
		lines = append(lines, full(n))
	}
	return lines
}

func TestVerify(t *testing.T) {
	for name, test := range map[string]struct {
		log    []string
		allow  recordlog.Allowances
		want   recordlog.Completeness // Complete, the numbers, and of Boots the ranges
		ranges []recordlog.Range
	}{
		"a log without a gap is complete": {
			log: append(numbered(1, 2), compact(3), "text"), want: recordlog.Completeness{Complete: true, Records: 3, Foreign: 1},
		},
		"the order does not matter": {
			log: numbered(3, 1, 2), want: recordlog.Completeness{Complete: true, Records: 3},
		},
		"a log without records is complete as far as it goes": {
			log: []string{"text"}, want: recordlog.Completeness{Complete: true, Foreign: 1},
		},
		"missing numbers are named": {
			log: numbered(1, 2, 5, 6, 8), want: recordlog.Completeness{Records: 5, Missing: 3},
			ranges: []recordlog.Range{{First: 3, Last: 4}, {First: 7, Last: 7}},
		},
		"a log that begins late has a gap": {
			log: numbered(200, 201), want: recordlog.Completeness{Records: 2, Missing: 199},
			ranges: []recordlog.Range{{First: 1, Last: 199}},
		},
		"a log that may begin late has none": {
			log: numbered(200, 201), allow: recordlog.Allowances{Partial: true}, want: recordlog.Completeness{Complete: true, Records: 2},
		},
		"a log that may begin late may have no gap after that": {
			log: numbered(200, 202), allow: recordlog.Allowances{Partial: true}, want: recordlog.Completeness{Records: 2, Missing: 1},
			ranges: []recordlog.Range{{First: 201, Last: 201}},
		},
		"lost records are missing, and the log said so": {
			log: append(numbered(1, 4), lost(2, 2, 3)), want: recordlog.Completeness{Records: 2, Missing: 2, SaidLost: 2},
			ranges: []recordlog.Range{{First: 2, Last: 3}},
		},
		"records that were lost after the last one are missing": {
			log: append(numbered(1), lost(3, 2, 4)), want: recordlog.Completeness{Records: 1, Missing: 3, SaidLost: 3},
			ranges: []recordlog.Range{{First: 2, Last: 4}},
		},
		"a log may have nothing but lost records": {
			log: []string{lost(2, 5, 6)}, allow: recordlog.Allowances{Partial: true}, want: recordlog.Completeness{Missing: 2, SaidLost: 2},
			ranges: []recordlog.Range{{First: 5, Last: 6}},
		},
		"the same line twice counts once": {
			log:    append(numbered(1, 2, 1), lost(1, 3, 3), lost(1, 3, 3)),
			want:   recordlog.Completeness{Records: 2, Duplicates: 1, Missing: 1, SaidLost: 1},
			ranges: []recordlog.Range{{First: 3, Last: 3}},
		},
		"the same line with and without the pod before counts once": {
			log: []string{full(1), "[pod/a/b] " + full(1)}, want: recordlog.Completeness{Records: 1, Duplicates: 1},
		},
		"two records with one number are worse": {
			log:  []string{full(1), strings.Replace(full(1), "worker-1", "worker-2", 1)},
			want: recordlog.Completeness{Records: 2, Conflicts: 1},
		},
		"so are a full and a compact one that differ": {
			log:  []string{full(1), strings.Replace(compact(1), "f1", "f2", 1)},
			want: recordlog.Completeness{Records: 2, Conflicts: 1},
		},
		"a record in full and compact is one": {
			log: []string{full(1), compact(1), full(1)}, want: recordlog.Completeness{Records: 1, Duplicates: 2},
		},
		"a record compact and in full is one, if its text is": {
			log:  []string{compact(1), full(1), strings.Replace(full(1), "v0.1.0", "v0.1.1", 1)},
			want: recordlog.Completeness{Records: 2, Duplicates: 1, Conflicts: 1},
		},
		"copies of one log have what one of them lost": {
			log: append(numbered(1, 2, 3), lost(1, 2, 2)), allow: recordlog.Allowances{Copies: true},
			want: recordlog.Completeness{Complete: true, Records: 3, SaidLost: 1},
		},
		"copies of one log complete each other": {
			log: append(numbered(1, 2, 5), numbered(2, 3, 4)...), allow: recordlog.Allowances{Copies: true},
			want: recordlog.Completeness{Complete: true, Records: 5, Duplicates: 1},
		},
		"a line that cannot be read may have been any record": {
			log: append(numbered(1), full(2)[:300]), want: recordlog.Completeness{Records: 1, Unparsable: 1},
		},
		"each process has its own numbers": {
			log:  append(numbered(1, 2), strings.Replace(full(1), `"B1"`, `"B2"`, 1)),
			want: recordlog.Completeness{Complete: true, Records: 3},
		},
	} {
		t.Run(name, func(t *testing.T) {
			log, entries := readLog(t, test.log...)
			got := log.Verify(test.allow)
			var ranges []recordlog.Range
			for _, b := range got.Boots {
				ranges = append(ranges, b.MissingRanges...)
			}
			if !reflect.DeepEqual(ranges, test.ranges) {
				t.Errorf("got ranges %v, want %v", ranges, test.ranges)
			}
			if uint64(len(entries)) != got.Records {
				t.Errorf("%d records, but %d were counted", len(entries), got.Records)
			}
			got.Boots, got.Flaws, got.Allowed = nil, nil, recordlog.Allowances{}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestABootIsDescribed(t *testing.T) {
	log, _ := readLog(t, "[pod/nrp-0/main] "+full(2), "[pod/nrp-0/main] "+full(1), full(2)[:100])
	got := log.Verify(recordlog.Allowances{})
	b := got.Boots[0]
	from, _ := b.From.MarshalText()
	to, _ := b.To.MarshalText()
	if b.Boot != "B1" || b.Source != "pod/nrp-0/main" || b.First != 1 || b.Last != 2 || b.Records != 2 ||
		string(from) != "2026-11-24T08:00:01.000Z" || string(to) != "2026-11-24T08:00:02.000Z" {
		t.Errorf("got %+v", b)
	}
	if len(got.Flaws) != 1 || got.Flaws[0].Input != "a.log" || got.Flaws[0].Line != 3 {
		t.Errorf("got %+v", got.Flaws)
	}
}

func TestMissingNumbersAreFoundInAnyOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	numbers := random.Perm(1000) // 0 to 999
	missing := map[uint64]bool{}
	var lines []string
	for i, n := range numbers {
		if i < 100 && n+1 < 900 {
			missing[uint64(n+1)] = true
		} else {
			lines = append(lines, full(n+1))
		}
	}
	log, _ := readLog(t, lines...)
	got := log.Verify(recordlog.Allowances{}).Boots[0]
	if got.Missing != uint64(len(missing)) {
		t.Errorf("got %d missing, want %d", got.Missing, len(missing))
	}
	for _, r := range got.MissingRanges {
		for n := r.First; n <= r.Last; n++ {
			if !missing[n] {
				t.Errorf("%d is not missing", n)
			}
		}
	}
}

func TestManyGapsAreCountedAndSomeNamed(t *testing.T) {
	var lines []string
	for n := 1; n < 3000; n += 2 {
		lines = append(lines, full(n))
	}
	log, _ := readLog(t, lines...)
	b := log.Verify(recordlog.Allowances{}).Boots[0]
	if b.Missing != 1499 || len(b.MissingRanges) != 1000 || b.MoreRanges != 499 {
		t.Errorf("got %d missing in %d ranges and %d more", b.Missing, len(b.MissingRanges), b.MoreRanges)
	}
}

func TestManyFlawsAreCountedAndSomeNamed(t *testing.T) {
	log, _ := readLog(t, strings.Repeat(full(1)[:99]+"\n", 100))
	if c := log.Verify(recordlog.Allowances{}); c.Unparsable != 100 || len(c.Flaws) != 20 {
		t.Errorf("got %d, named %d", c.Unparsable, len(c.Flaws))
	}
}
